//! `auth/token/…`: who may call.

use std::collections::HashMap;

use axum::http::{HeaderMap, header};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{Answer, Refusal};
use super::fields::Fields;
use super::{Operation, Shared};

/// The valid tokens.
pub(super) struct Tokens(HashMap<String, Token>);

/// A token and what it may do.
#[derive(Clone)]
pub(super) struct Token {
    id: String,
    accessor: String,
    policies: Vec<String>,
    orphan: bool,
    created: Timestamp,
}

impl Tokens {
    pub(super) fn new(root: String, now: Timestamp) -> Self {
        let token = Token::new(root, vec!["root".to_owned()], true, now);
        Self(HashMap::from([(token.id.clone(), token)]))
    }

    pub(super) fn authenticate(&self, presented: Option<&str>) -> Result<Token, Refusal> {
        let id = presented.ok_or(Refusal::NoToken)?;
        self.0.get(id).cloned().ok_or(Refusal::UnknownToken)
    }
}

impl Token {
    fn new(id: String, policies: Vec<String>, orphan: bool, created: Timestamp) -> Self {
        Self { id, accessor: Uuid::new_v4().simple().to_string(), policies, orphan, created }
    }

    /// # Errors
    ///
    /// [`Refusal::NotAllowed`] when the token has no policy but `default`.
    pub(super) fn require_rights(&self) -> Result<(), Refusal> {
        if self.policies.iter().any(|policy| policy != "default") { Ok(()) } else { Err(Refusal::NotAllowed) }
    }
}

/// The token that a request carries, in either of Vault's headers.
pub(super) fn presented(headers: &HeaderMap) -> Option<&str> {
    let own = headers.get("x-vault-token").and_then(|value| value.to_str().ok());
    let bearer = || {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        value.strip_prefix("Bearer ")
    };
    own.or_else(bearer).filter(|token| !token.is_empty())
}

pub(super) fn answer(
    shared: &Shared,
    path: &str,
    operation: Operation,
    caller: &Token,
    fields: &Fields,
) -> Result<Answer, Refusal> {
    match (path, operation) {
        ("lookup-self", Operation::Read | Operation::Update) => Ok(look_up(caller)),
        ("revoke-self", Operation::Update) => Ok(revoke(shared, &caller.id)),
        ("create", Operation::Update) => {
            caller.require_rights()?;
            create(shared, caller, fields)
        }
        ("revoke", Operation::Update) => {
            caller.require_rights()?;
            match fields.text("token")?.as_deref() {
                None | Some("") => Err(Refusal::Invalid("missing token ID".to_owned())),
                Some(id) => Ok(revoke(shared, id)),
            }
        }
        (_, Operation::List) => Err(Refusal::UnsupportedPath),
        ("lookup-self" | "revoke-self" | "create" | "revoke", _) => Err(Refusal::UnsupportedOperation),
        _ => Err(Refusal::UnsupportedPath),
    }
}

fn look_up(token: &Token) -> Answer {
    let data = json!({
        "accessor": token.accessor,
        "creation_time": token.created.as_second(),
        "creation_ttl": 0,
        "display_name": "token",
        "entity_id": "",
        "expire_time": null,
        "explicit_max_ttl": 0,
        "id": token.id,
        "issue_time": token.created.to_string(),
        "meta": null,
        "num_uses": 0,
        "orphan": token.orphan,
        "path": "auth/token/create",
        "policies": token.policies,
        "renewable": false,
        "ttl": 0,
        "type": "service",
    });
    Answer::data("token", data, Vec::new())
}

/// The policies of the caller unless the request names others. It lives until it is revoked, whatever `ttl` and `period` say.
fn create(shared: &Shared, caller: &Token, fields: &Fields) -> Result<Answer, Refusal> {
    const KNOWN: [&str; 10] = [
        "id",
        "policies",
        "no_parent",
        "renewable",
        "ttl",
        "period",
        "meta",
        "display_name",
        "num_uses",
        "no_default_policy",
    ];
    let id = fields.text("id")?.filter(|id| !id.is_empty());
    let id = id.unwrap_or_else(|| format!("hvs.{}", Uuid::new_v4().simple()));
    let policies = match fields.get("policies") {
        Some(named) => with_default(named),
        None => caller.policies.clone(),
    };
    let token = Token::new(id, policies, fields.flag("no_parent")?, shared.now());
    let auth = json!({
        "client_token": token.id,
        "accessor": token.accessor,
        "policies": token.policies,
        "token_policies": token.policies,
        "metadata": null,
        "lease_duration": 0,
        "renewable": false,
        "entity_id": "",
        "token_type": "service",
        "orphan": token.orphan,
        "mfa_requirement": null,
        "num_uses": 0,
    });
    shared.tokens_mut().0.insert(token.id.clone(), token);
    Ok(Answer::auth("token", auth, fields.warnings(&KNOWN)))
}

/// An unknown token is as good as a revoked one.
fn revoke(shared: &Shared, id: &str) -> Answer {
    shared.tokens_mut().0.remove(id);
    Answer::Nothing
}

/// Every token but root's has the policy `default`.
fn with_default(named: &Value) -> Vec<String> {
    let named = named.as_array().into_iter().flatten();
    let mut policies: Vec<String> = named.filter_map(|name| name.as_str().map(str::to_owned)).collect();
    if !policies.iter().any(|policy| policy == "root") {
        policies.push("default".to_owned());
    }
    policies.sort_unstable();
    policies.dedup();
    policies
}
