//! What only a database of many writers has to promise. All of it needs the real server.

mod checkpoints;
mod connections;
mod database;
mod failures;
mod locks;
mod replicas;
mod tls;
