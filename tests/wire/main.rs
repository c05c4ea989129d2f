//! Tests on the wire: HTTP in, HTTP out.

mod registry_contract;
mod servers;
mod transit_contract;
