//! Entries as events of the Open Cybersecurity Schema Framework, 1.3. <https://schema.ocsf.io/1.3.0/>
//!
//! | kind | class | activity |
//! |---|---|---|
//! | `intent`, `outcome`, `adopted` | API Activity (6003) | Create (1) |
//! | `attach` | API Activity (6003) | Update (3) |
//! | `verification`, `read`, `export` | API Activity (6003) | Read (2) |
//! | `refusal` | API Activity (6003) | that of what was refused: Create or Read |
//! | `key-version` | Entity Management (3004) | Create (1) |
//! | `start`, `stop` | Application Lifecycle (6002) | Start (3), Stop (4) |
//! | `policy`, `policy-refused`, `configuration`, `anchor-reset` | Application Lifecycle (6002) | Update (8) |
//! | `archive` | Application Lifecycle (6002) | Other (99) |

use serde_json::{Value, json};

use crate::domain::{AttachResult, Entry, Event, KeyName, KeyVersion, Operation, Outcome};

/// The version of the framework that the events follow.
pub const VERSION: &str = "1.3.0";

const API_ACTIVITY: u32 = 6003;
const APPLICATION_LIFECYCLE: u32 = 6002;
const ENTITY_MANAGEMENT: u32 = 3004;

/// The event of the entry `index`. `bytes` is what the log keeps of it: the event holds it whole, as `raw_data`.
pub fn event(index: u64, entry: &Entry, bytes: &[u8]) -> Value {
    let (class, activity) = class(entry);
    let (category, category_name) = match class {
        ENTITY_MANAGEMENT => (3, "Identity & Access Management"),
        _ => (6, "Application Activity"),
    };
    let success = is_success(entry);
    let mut event = json!({
        "activity_id": activity,
        "category_uid": category,
        "category_name": category_name,
        "class_uid": class,
        "type_uid": class * 100 + activity,
        "time": entry.time.as_millisecond(),
        "severity_id": if success { 1 } else { 3 },
        "severity": if success { "Informational" } else { "Medium" },
        "status_id": if success { 1 } else { 2 },
        "status": if success { "Success" } else { "Failure" },
        "message": message(entry),
        "metadata": {
            "version": VERSION,
            "log_name": "signing-log",
            "event_code": entry.kind(),
            "sequence": index,
            "uid": index.to_string(),
            "product": {"name": "Signet", "vendor_name": "Signet", "version": env!("CARGO_PKG_VERSION")},
        },
        "raw_data": String::from_utf8_lossy(bytes),
    });
    if let Some(id) = &entry.request_id {
        event["metadata"]["correlation_uid"] = json!(id.as_str());
    }
    if let Event::Refusal { count, .. } | Event::Read { count, .. } | Event::Export { count, .. } =
        &entry.event
    {
        event["count"] = json!(count.get());
    }
    let actor = json!({"user": {"name": entry.principal, "type_id": 99, "type": "Workload"}});
    match class {
        API_ACTIVITY => {
            let operation = entry.operation.map_or_else(|| entry.kind().to_owned(), |name| name.to_string());
            event["actor"] = actor;
            event["api"] = json!({"operation": operation});
            // Where the request came from is not in the log: the framework wants something to be said of it.
            event["src_endpoint"] = json!({"svc_name": entry.principal});
            if let Some(id) = &entry.request_id {
                event["api"]["request"] = json!({"uid": id.as_str()});
            }
            event["resources"] = json!(resources(entry));
        }
        ENTITY_MANAGEMENT => {
            event["actor"] = actor;
            event["entity"] = json!({"name": message(entry), "type": "Signing key version"});
        }
        _ => event["app"] = json!({"name": "Signet", "vendor_name": "Signet"}),
    }
    event
}

/// What the entry says, in one line.
pub fn message(entry: &Entry) -> String {
    let mut words = vec![entry.kind().to_owned()];
    words.extend(match &entry.event {
        Event::Outcome { result: Outcome::Signed { .. }, .. } => Some("signed".to_owned()),
        Event::Outcome { result: Outcome::Failed { code }, .. } => Some(format!("failed {code}")),
        Event::Attach { result: AttachResult::Attached { .. }, .. } => Some("attached".to_owned()),
        Event::Attach { result: AttachResult::Missing { .. }, .. } => Some("missing".to_owned()),
        Event::Attach { result: AttachResult::Failed { code }, .. } => Some(format!("failed {code}")),
        Event::Attach { result: AttachResult::GivenUp { code }, .. } => Some(format!("given-up {code}")),
        Event::Verification { signed, .. } => Some(if *signed { "signed" } else { "unsigned" }.to_owned()),
        Event::Archive { end } => Some(format!("below {end}")),
        _ => None,
    });
    if let Some(subject) = &entry.subject {
        words.push(match &subject.repository {
            Some(repository) => format!("{repository}@{}", subject.digest),
            None => subject.digest.to_string(),
        });
    }
    if let Some(key) = key(entry) {
        words.push(format!("key {key}"));
    }
    words.push(format!("by {}", entry.principal));
    words.join(" ")
}

/// Whether what the entry tells of went as it should.
pub const fn is_success(entry: &Entry) -> bool {
    !matches!(
        &entry.event,
        Event::Refusal { .. }
            | Event::Outcome { result: Outcome::Failed { .. }, .. }
            | Event::Attach {
                result: AttachResult::Failed { .. }
                    | AttachResult::GivenUp { .. }
                    | AttachResult::Missing { .. },
                ..
            }
            | Event::PolicyRefused { .. }
    )
}

fn class(entry: &Entry) -> (u32, u32) {
    match &entry.event {
        Event::Intent { .. } | Event::Outcome { .. } | Event::Adopted { .. } => (API_ACTIVITY, 1),
        Event::Attach { .. } => (API_ACTIVITY, 3),
        Event::Verification { .. } | Event::Read { .. } | Event::Export { .. } => (API_ACTIVITY, 2),
        Event::Refusal { .. } => match entry.operation {
            Some(Operation::Sign | Operation::Attest | Operation::Blob) => (API_ACTIVITY, 1),
            _ => (API_ACTIVITY, 2),
        },
        Event::KeyVersion { .. } => (ENTITY_MANAGEMENT, 1),
        Event::Start { .. } => (APPLICATION_LIFECYCLE, 3),
        Event::Stop { .. } => (APPLICATION_LIFECYCLE, 4),
        Event::Policy { .. }
        | Event::PolicyRefused { .. }
        | Event::Configuration { .. }
        | Event::AnchorReset { .. } => (APPLICATION_LIFECYCLE, 8),
        Event::Archive { .. } => (APPLICATION_LIFECYCLE, 99),
    }
}

fn resources(entry: &Entry) -> Vec<Value> {
    let mut resources = Vec::new();
    if let Some(subject) = &entry.subject {
        let digest = subject.digest.to_string();
        resources.push(match &subject.repository {
            Some(repository) => json!({"type": "image", "name": repository.to_string(), "uid": digest}),
            None => json!({"type": "file", "uid": digest}),
        });
    }
    if let Some(key) = key(entry) {
        resources.push(json!({"type": "key", "name": key}));
    }
    resources
}

/// The key's name, and its version where one is told.
fn key(entry: &Entry) -> Option<String> {
    let name = entry.key().map(KeyName::as_str)?;
    Some(match entry.key_version().map(KeyVersion::get) {
        Some(version) => format!("{name} version {version}"),
        None => name.to_owned(),
    })
}
