//! `signet log query`.

use clap::Args;
use serde_json::Value;

use super::filter::FilterArgs;
use crate::cli::Failure;
use crate::cli::api::{ApiArgs, Output, failed, print_line, tell};
use crate::client::Client;

/// Ask which entries the log has, page by page until the last
///
/// What comes is what the server says. `signet log verify` with the same conditions proves that this is all; its `--answers` are read with
/// the oldest first.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  signet log query --key release --key-version 3 --from 2026-03-01T00:00:00Z --to 2026-04-01T00:00:00Z
  signet log query --repository 'registry.example.com/payments/**' --decision deny
  signet log query --decision deny --newest-first --limit 20
  signet log query --digest sha256:9f86… --output json > answer.ndjson")]
pub(super) struct Query {
    #[command(flatten)]
    filter: FilterArgs,
    /// Begin with the newest entry, and go back
    #[arg(long)]
    newest_first: bool,
    /// No more than so many
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    api: ApiArgs,
}

/// What the server answers to a question, entry by entry.
pub(super) struct Answers<'a> {
    client: &'a Client,
    /// Where the next page is; none behind the last.
    next: Option<String>,
    page: std::vec::IntoIter<(u64, Value)>,
    /// The last index of which the server says that it was searched.
    pub(super) indexed_through: Option<u64>,
    /// With the newest first: from which index on it was searched, and up to which.
    searched: Option<(u64, u64)>,
}

/// Entries that a page is asked for, at most.
const PAGE: u64 = 1000;

impl<'a> Answers<'a> {
    pub(super) fn to(client: &'a Client, filter: &FilterArgs, more: &[(&str, String)]) -> Self {
        Self::limited(client, filter, PAGE, more)
    }

    /// Of which no more than `limit` are wanted.
    fn limited(client: &'a Client, filter: &FilterArgs, limit: u64, more: &[(&str, String)]) -> Self {
        let limit = limit.clamp(1, PAGE).to_string();
        let first = filter.path(&[&[("limit", limit)], more].concat());
        Self {
            client,
            next: Some(first),
            page: Vec::new().into_iter(),
            indexed_through: None,
            searched: None,
        }
    }

    /// The next entry with its index.
    pub(super) async fn next(&mut self) -> Result<Option<(u64, Value)>, Failure> {
        loop {
            if let Some(entry) = self.page.next() {
                return Ok(Some(entry));
            }
            let Some(path) = self.next.take() else { return Ok(None) };
            let mut body = self.client.get(&path).await.map_err(failed)?.body;
            self.next = body["next"].as_str().filter(|next| next.starts_with('/')).map(str::to_owned);
            self.indexed_through = body["indexed_through"].as_u64();
            self.searched = body["searched_from"].as_u64().zip(body["searched_through"].as_u64());
            let entries = body["entries"].as_array_mut().map(std::mem::take);
            let entries = entries
                .ok_or_else(|| Failure::could_not_tell("the server's answer is no page of entries"))?;
            let read = |mut entry: Value| Some((entry["index"].as_u64()?, entry["entry"].take()));
            let page: Option<Vec<_>> = entries.into_iter().map(read).collect();
            self.page = page
                .ok_or_else(|| Failure::could_not_tell("an entry of the answer has no index"))?
                .into_iter();
        }
    }
}

impl Query {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let client = self.api.client()?;
        let limit = self.limit.unwrap_or(u64::MAX);
        let order = self.newest_first.then(|| ("order", "newest".to_owned()));
        let mut answers = Answers::limited(&client, &self.filter, limit, order.as_slice());
        let (mut count, mut last) = (0, 0);
        while count < limit
            && let Some((index, entry)) = answers.next().await?
        {
            (count, last) = (count + 1, index);
            match self.api.output {
                Output::Json => print_line(&serde_json::json!({"index": index, "entry": entry}).to_string()),
                Output::Text => print_line(&line(index, &entry)),
            }
        }
        let searched = match (self.newest_first, answers.searched, answers.indexed_through) {
            // Of what lies below the last one, not all was shown.
            (true, Some((_, through)), _) if count == limit => {
                format!("from entry {last} to entry {through}")
            }
            (true, Some((from, through)), _) => format!("from entry {from} to entry {through}"),
            (false, _, Some(through)) => format!("up to entry {through}"),
            _ => "nothing".to_owned(),
        };
        tell(&format!("{count} entries; searched {searched}"));
        Ok(())
    }
}

/// An entry in one line, for people.
fn line(index: u64, entry: &Value) -> String {
    let text = |value: &Value| value.as_str().map(clean);
    let artifact = match (text(&entry["repository"]), text(&entry["digest"])) {
        (Some(repository), Some(digest)) => Some(format!("{repository}@{digest}")),
        (_, digest) => digest,
    };
    let key = match (&entry["key"], &entry["key_version"]) {
        (Value::Object(key), _) => {
            Some(format!("{} v{}", text(&key["name"]).unwrap_or_default(), key["version"]))
        }
        (Value::String(name), Value::Null) => Some(clean(name)),
        (Value::String(name), version) => Some(format!("{} v{version}", clean(name))),
        _ => None,
    };
    let words =
        [text(&entry["time"]), text(&entry["kind"]), text(&entry["result"]), text(&entry["principal"])];
    let words =
        words.into_iter().chain([key, artifact, text(&entry["rule"]).map(|rule| format!("rule {rule}"))]);
    format!("{index} {}", words.flatten().collect::<Vec<_>>().join(" "))
}

/// What callers wrote must not move the cursor.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}
