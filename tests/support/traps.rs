//! What other registries do than those at hand, as rules for the proxy before one of these.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::Fault;
use super::proxy::Call;
use super::token_host::TokenHost;

/// An error as registries write it.
pub fn problem(status: u16, headers: Vec<(&'static str, String)>, code: &str, message: &str) -> Fault {
    let body = json!({"errors": [{"code": code, "message": message, "detail": null}]}).to_string();
    let headers = [vec![("content-type", "application/json".to_owned())], headers].concat();
    Fault::Answer { status, headers, body }
}

/// The tag or digest that a call about a manifest names.
pub fn reference(call: &Call) -> Option<&str> {
    let (_, reference) = call.path.split_once("/manifests/")?;
    Some(reference)
}

/// The tag that a call writes.
pub fn written_tag(call: &Call) -> Option<&str> {
    reference(call).filter(|reference| call.method == "PUT" && !reference.contains(':'))
}

/// The digest in a tag `sha256-<hex>`, which has nothing behind it.
pub fn fallback_digest(tag: &str) -> Option<String> {
    let hex = tag.strip_prefix("sha256-")?;
    (hex.len() == 64).then(|| format!("sha256:{hex}"))
}

pub fn is_referrers(call: &Call) -> bool {
    call.path.contains("/referrers/")
}

/// As a registry without the API answers.
pub fn no_such_page() -> Fault {
    let headers = vec![("content-type", "text/plain; charset=utf-8".to_owned())];
    Fault::Answer { status: 404, headers, body: "404 page not found\n".to_owned() }
}

/// GitLab's registry: no referrers API, the tag `sha256-<hex>` resolves to the image of that digest, tokens come from another
/// host, and rules protect tags.
#[derive(Clone)]
pub struct GitLab {
    tokens: Option<TokenHost>,
    pub rules: TagRules,
}

impl GitLab {
    pub fn start() -> Self {
        Self { tokens: Some(TokenHost::start()), rules: TagRules::default() }
    }

    /// One that lets everybody in.
    pub fn public() -> Self {
        Self { tokens: None, rules: TagRules::default() }
    }

    pub fn tokens(&self) -> &TokenHost {
        self.tokens.as_ref().unwrap()
    }

    pub fn rule(&self) -> impl Fn(&Call) -> Option<Fault> + Send + Sync + 'static {
        let Self { tokens, rules } = self.clone();
        move |call| {
            if let Some(challenge) = tokens.as_ref().and_then(|tokens| tokens.challenge(call)) {
                return Some(challenge);
            }
            if is_referrers(call) {
                return Some(no_such_page());
            }
            if let Some(digest) = reference(call).and_then(fallback_digest) {
                assert_ne!(call.method, "PUT", "the image itself would have been written over");
                return Some(Fault::At(call.path.replace(reference(call)?, &digest)));
            }
            rules.refusal(call)
        }
    }
}

/// What is refused when a tag is written.
#[derive(Clone, Default)]
pub struct TagRules(Arc<Mutex<Rules>>);

#[derive(Default)]
struct Rules {
    /// Nobody may write the tags of signatures at all.
    protected: Option<Fault>,
    /// Nobody may write the tags of signatures again.
    immutable: Option<Fault>,
    written: HashSet<String>,
}

impl TagRules {
    /// Tags of signatures are protected from now on, and whoever writes one gets `answer`.
    pub fn protect(&self, answer: Fault) {
        self.0.lock().unwrap().protected = Some(answer);
    }

    /// Tags of signatures are create-only from now on. They are known by their writes through here.
    pub fn make_immutable(&self, answer: Fault) {
        self.0.lock().unwrap().immutable = Some(answer);
    }

    /// The tags of signatures are excluded from the rules.
    pub fn exclude_signatures(&self) {
        let mut rules = self.0.lock().unwrap();
        (rules.protected, rules.immutable) = (None, None);
    }

    pub fn refusal(&self, call: &Call) -> Option<Fault> {
        let tag = written_tag(call)?;
        let mut rules = self.0.lock().unwrap();
        let is_new = rules.written.insert(format!("{} {tag}", call.path));
        if is_new { rules.protected.clone() } else { rules.protected.clone().or(rules.immutable.clone()) }
    }
}

/// A registry that for a few reads after a write shows what was there before.
#[derive(Clone)]
pub struct Behind(Arc<Mutex<Lag>>);

struct Lag {
    /// Which reads after a write do not show it.
    hides: &'static [bool],
    /// By path: what stood there before the last write, what stands there, and the reads since.
    tags: HashMap<String, (Option<Call>, Call, usize)>,
    /// Manifests with a subject, and the lists since.
    referrers: HashMap<String, usize>,
}

impl Behind {
    /// `hides` says which of the reads that follow a write do not show it.
    pub fn by(hides: &'static [bool]) -> Self {
        Self(Arc::new(Mutex::new(Lag { hides, tags: HashMap::new(), referrers: HashMap::new() })))
    }

    pub fn rule(&self) -> impl Fn(&Call) -> Option<Fault> + Send + Sync + 'static {
        let shared = self.0.clone();
        move |call| shared.lock().unwrap().answer(call)
    }
}

impl Lag {
    fn answer(&mut self, call: &Call) -> Option<Fault> {
        let hides = |read: usize| self.hides.get(read).copied().unwrap_or_default();
        if written_tag(call).is_some() {
            let before = self.tags.remove(&call.path).map(|(_, now, _)| now);
            self.tags.insert(call.path.clone(), (before, call.clone(), 0));
            return None;
        }
        if let Some(digest) = reference(call).filter(|_| call.method == "PUT") {
            self.referrers.insert(digest.to_owned(), 0);
            return None;
        }
        if is_referrers(call) {
            let hidden = self.referrers.iter().filter(|(_, read)| hides(**read));
            let hidden: Vec<_> = hidden.map(|(digest, _)| digest.clone()).collect();
            self.referrers.values_mut().for_each(|read| *read += 1);
            return Some(Fault::Change(Arc::new(move |body| without(body, &hidden))));
        }
        let (before, _, read) = self.tags.get_mut(&call.path)?;
        *read += 1;
        hides(*read - 1).then(|| match before {
            None => problem(404, Vec::new(), "MANIFEST_UNKNOWN", "manifest unknown"),
            Some(before) => Fault::Answer {
                status: 200,
                headers: vec![("content-type", before.headers["content-type"].to_str().unwrap().to_owned())],
                body: String::from_utf8(before.body.to_vec()).unwrap(),
            },
        })
    }
}

/// The list of referrers in `body`, without those of these digests.
fn without(body: &[u8], hidden: &[String]) -> Vec<u8> {
    let Ok(mut index) = serde_json::from_slice::<Value>(body) else { return body.to_vec() };
    if let Some(manifests) = index["manifests"].as_array_mut() {
        manifests.retain(|manifest| hidden.iter().all(|hidden| manifest["digest"] != **hidden));
    }
    index.to_string().into_bytes()
}
