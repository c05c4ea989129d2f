//! `/audit/keys`: the life of each key, and what depends on each of its versions.

use std::fmt::Write as _;
use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::page::{Frame, Section, html};
use super::parts::{Number, When, in_path, lasted, link, plain};
use super::search::{address, api_call, period};
use super::session::{Turned, Viewer};
use super::signatures::SignatureRow;
use super::told::Tone;
use crate::domain::{EntryFilter, Key, KeyVersion, PublishedVersion, Timestamp};
use crate::http::ApiState;
use crate::http::keys::{self, key_name};
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::service::{Radius, RadiusRequest, VersionCount};

#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage {
    frame: Frame,
    keys: Vec<KeyView>,
}

#[derive(Template)]
#[template(path = "key.html")]
struct KeyPage {
    frame: Frame,
    key: KeyView,
    asked: RadiusParameters,
    radius: Option<RadiusView>,
}

/// A key with its versions, as a table and as a line of time.
struct KeyView {
    name: String,
    path: String,
    key_type: String,
    in_vault: bool,
    latest: u32,
    rotates: Option<String>,
    /// None for those who see a part of the log.
    signatures: Option<Number>,
    versions: Vec<VersionView>,
    line: TimeLine,
}

struct VersionView {
    version: u32,
    state: &'static str,
    tone: Tone,
    meaning: &'static str,
    fingerprint: String,
    created: When,
    until: Option<When>,
    signatures: Option<Number>,
    /// Of the version with the most: in percent, for a bar.
    share: u64,
    public_key: String,
    link: String,
}

/// Versions over time, each a bar.
struct TimeLine {
    height: usize,
    bars: Vec<TimeBar>,
    ticks: Vec<(usize, &'static str, String)>,
}

struct TimeBar {
    x: usize,
    y: usize,
    width: usize,
    class: &'static str,
    label: String,
    label_x: usize,
    /// Where there is no room behind the bar, the label ends before it.
    anchor: &'static str,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RadiusParameters {
    version: Option<u32>,
    from: String,
    to: String,
    begin: Option<u64>,
    size: Option<u64>,
}

/// What depends on a version.
struct RadiusView {
    version: u32,
    rows: Vec<(SignatureRow, bool)>,
    alone: usize,
    repositories: Vec<(String, u64)>,
    complete: String,
    next: Option<String>,
    csv: String,
    api: String,
}

/// Signatures of a page.
const LIMIT: usize = 100;

pub async fn list(State(state): State<ApiState>, viewer: Viewer) -> Result<Response, Turned> {
    let (keys, counts) = read(&state, &viewer).await?;
    let now = state.clock.now();
    let page = KeysPage {
        frame: Frame::new("Keys", Section::Keys, Some(&viewer)),
        keys: keys.iter().map(|key| KeyView::of(key, counts.as_deref(), now)).collect(),
    };
    Ok(html(&page)?)
}

pub async fn show(
    State(state): State<ApiState>,
    viewer: Viewer,
    Path(name): Path<String>,
    parameters: Result<Query<RadiusParameters>, QueryRejection>,
) -> Result<Response, Turned> {
    let asked = address(parameters)?;
    let name = key_name(&name)?;
    let (keys, counts) = read(&state, &viewer).await?;
    let key = keys.iter().find(|key| key.name == name);
    let key = key.ok_or_else(|| {
        Problem::not_found("There is no such key here. `/audit/keys` shows those that there are.")
    })?;
    let radius = match asked.version {
        None => None,
        Some(version) => Some(radius(&state, &viewer, key, version, &asked).await?),
    };
    let page = KeyPage {
        frame: Frame::new(format!("Key {name}"), Section::Keys, Some(&viewer)),
        key: KeyView::of(key, counts.as_deref(), state.clock.now()),
        asked,
        radius,
    };
    Ok(html(&page)?)
}

async fn read(
    state: &ApiState,
    viewer: &Viewer,
) -> Result<(Vec<Arc<Key>>, Option<Vec<VersionCount>>), Problem> {
    viewer
        .ask(state, move |service, caller| async move {
            tokio::try_join!(service.keys(), service.version_counts(&caller))
        })
        .await
}

async fn radius(
    state: &ApiState,
    viewer: &Viewer,
    key: &Key,
    version: u32,
    asked: &RadiusParameters,
) -> Result<RadiusView, Problem> {
    let number =
        KeyVersion::new(version).ok_or_else(|| Problem::invalid("A key's version is a number from 1."))?;
    let period = period(&asked.from, &asked.to);
    let EntryFilter { from, to, .. } = period.read()?;
    let request = RadiusRequest {
        key: key.name.clone(),
        version: number,
        from,
        to,
        begin: asked.begin.unwrap_or_default(),
        size: asked.size,
        limit: LIMIT,
    };
    let radius = viewer
        .ask(state, move |service, caller| async move { service.radius(&caller, request).await })
        .await?;
    let now = state.clock.now();
    let filter = EntryFilter {
        key: Some(key.name.to_string()),
        key_version: Some(version),
        from,
        to,
        ..EntryFilter::default()
    };
    Ok(RadiusView::of(state, &radius, &filter, asked, now))
}

impl RadiusView {
    fn of(
        state: &ApiState,
        radius: &Radius,
        filter: &EntryFilter,
        asked: &RadiusParameters,
        now: Timestamp,
    ) -> Self {
        let (name, version) =
            (filter.key.clone().unwrap_or_default(), filter.key_version.unwrap_or_default());
        let words = filter.words();
        let of_page = match (radius.next, asked.begin) {
            (None, None) => format!(
                "Complete: all signatures of this version in this time, of all {} entries.",
                Number(radius.size)
            ),
            (None, Some(_)) => {
                format!("Complete with the pages before, of all {} entries.", Number(radius.size))
            }
            (Some(_), _) => format!(
                "A part: the next page goes on, of the same {} entries. The figures are those of this page; the export has all.",
                Number(radius.size)
            ),
        };
        let mut repositories: Vec<_> = radius
            .repositories
            .iter()
            .map(|(name, count)| {
                (name.as_deref().map_or_else(|| "files, in no repository".to_owned(), plain), *count)
            })
            .collect();
        repositories.sort_by(|(one, a), (other, b)| b.cmp(a).then_with(|| one.cmp(other)));
        let next = radius.next.map(|next| {
            let query = [
                ("version", version.to_string()),
                ("from", asked.from.clone()),
                ("to", asked.to.clone()),
                ("begin", next.to_string()),
                ("size", radius.size.to_string()),
            ];
            link(&format!("/audit/keys/{}", in_path(&name)), query)
        });
        let export = words.iter().map(|(name, word)| (name.as_str(), word.clone()));
        Self {
            version,
            alone: radius.rows.iter().filter(|row| row.is_alone).count(),
            rows: radius
                .rows
                .iter()
                .map(|row| (SignatureRow::of(&row.signature, now), row.is_alone))
                .collect(),
            repositories,
            complete: of_page,
            next,
            csv: link("/audit/export", export.chain([("format", "csv".to_owned())])),
            api: api_call(state, &words),
        }
    }
}

impl KeyView {
    fn of(key: &Key, counts: Option<&[VersionCount]>, now: Timestamp) -> Self {
        let known = counts.unwrap_or_default();
        let of_version = |version: u32| {
            let counted =
                known.iter().find(|one| one.key == key.name.as_str() && one.version == Some(version));
            counted.map_or(0, |counted| counted.signatures)
        };
        let most = key.versions.keys().map(|version| of_version(version.get())).max().unwrap_or_default();
        let path = format!("/audit/keys/{}", in_path(key.name.as_str()));
        let versions: Vec<_> = key
            .versions
            .iter()
            .rev()
            .map(|(version, published)| {
                let until = keys::successor(key, published.created_at);
                let (state, tone, meaning) = state_of(key, *version);
                let signatures = of_version(version.get());
                VersionView {
                    version: version.get(),
                    state,
                    tone,
                    meaning,
                    fingerprint: published.public_key.fingerprint().to_string(),
                    created: When(published.created_at),
                    until: until.map(When),
                    signatures: counts.map(|_| Number(signatures)),
                    share: (signatures * 100).checked_div(most).unwrap_or_default(),
                    public_key: published.public_key.to_pem(),
                    link: link(&path, [("version", version.to_string())]),
                }
            })
            .collect();
        Self {
            name: key.name.to_string(),
            key_type: key.key_type.to_string(),
            in_vault: key.in_vault,
            latest: key.latest.get(),
            rotates: key.auto_rotate_period.map(|period| {
                let since = now.checked_sub(period).unwrap_or(now);
                lasted(since, now)
            }),
            signatures: counts.map(|counts| {
                let of_key = counts.iter().filter(|one| one.key == key.name.as_str());
                Number(of_key.map(|one| one.signatures).sum())
            }),
            line: TimeLine::of(key, now),
            versions,
            path,
        }
    }
}

/// The state with how to look at it, and what it means.
fn state_of(key: &Key, version: KeyVersion) -> (&'static str, Tone, &'static str) {
    match keys::state_of(key, version) {
        state @ "retired" => (state, Tone::Plain, "signs no more, and still verifies"),
        state @ "active" => (state, Tone::Good, "signs when no version is named"),
        state => (state, Tone::Warning, "signs when it is named"),
    }
}

/// Of the picture.
pub const LINE_WIDTH: usize = 860;
const LABELS: usize = 120;
const ROW: usize = 26;
const AXIS: usize = 28;

impl TimeLine {
    fn of(key: &Key, now: Timestamp) -> Self {
        let begin = key.versions.values().map(|published| published.created_at).min().unwrap_or(now);
        let span = (now.as_second() - begin.as_second()).max(1);
        let room = LINE_WIDTH - LABELS;
        let place = |time: Timestamp| {
            let part = (time.as_second() - begin.as_second()).clamp(0, span);
            usize::try_from(i128::from(part) * room as i128 / i128::from(span)).unwrap_or_default()
        };
        let bar = |(row, (version, published)): (usize, (&KeyVersion, &PublishedVersion))| {
            let x = place(published.created_at);
            let until = keys::successor(key, published.created_at).unwrap_or(now);
            let width = place(until).saturating_sub(x).max(4);
            let (state, ..) = state_of(key, *version);
            let mut label = String::new();
            let _ = write!(label, "v{version} {state}");
            let is_left = x + width + 90 > LINE_WIDTH;
            TimeBar {
                x,
                y: row * ROW + 4,
                width,
                class: state,
                label,
                label_x: if is_left && x > 100 { x - 6 } else { x + width + 6 },
                anchor: if is_left && x > 100 { "end" } else { "start" },
            }
        };
        let bars: Vec<_> = key.versions.iter().enumerate().map(bar).collect();
        let tick = |time: Timestamp, anchor| (place(time), anchor, time.strftime("%Y-%m-%d").to_string());
        let middle = Timestamp::from_second(begin.as_second() + span / 2).unwrap_or(now);
        let mut ticks = vec![tick(begin, "start"), tick(middle, "middle"), tick(now, "end")];
        // Of a young key, a day stands there once.
        ticks.dedup_by(|(.., one), (.., other)| one == other);
        Self { height: bars.len() * ROW + AXIS, bars, ticks }
    }
}
