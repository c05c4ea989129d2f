//! `/audit`: the log at a glance.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::page::{Frame, Section, html};
use super::parts::{Number, Short, When, lasted, link, plain};
use super::session::{Turned, Viewer};
use super::signatures::SignatureRow;
use super::told::{self, Tone};
use crate::http::ApiState;
use crate::http::log::signatures::name_of;
use crate::ports::SignatureState;
use crate::service::{Day, Overview, StateFilter};

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    days: usize,
    signatures: Number,
    refusals: Number,
    failures: Number,
    /// Whether failures are at least so many.
    more_failures: bool,
    log_size: Number,
    warnings: Vec<Warning>,
    chart: Chart,
    table: Vec<DayRow>,
    repositories: Vec<Bar>,
    troubled: Vec<Trouble>,
    checkpoint: Option<CheckpointView>,
    indexed: String,
    policy: Short,
    rules: String,
    is_whole: bool,
    now: When,
}

/// Something that needs somebody.
struct Warning {
    tone: Tone,
    text: String,
    link: Option<(&'static str, String)>,
}

struct CheckpointView {
    size: Number,
    newest: Option<When>,
    age: Option<String>,
    uncovered: String,
    root: String,
}

struct DayRow {
    date: String,
    signatures: Number,
    refusals: Number,
    failures: Number,
}

/// A repository, and its share of the one with the most.
struct Bar {
    name: String,
    link: String,
    count: Number,
    share: u64,
}

/// Signatures with the same trouble.
struct Trouble {
    state: &'static str,
    tone: Tone,
    count: usize,
    has_more: bool,
    rows: Vec<SignatureRow>,
    link: String,
}

/// Two rows of columns: what was made, and what was not.
struct Chart {
    made: Vec<Column>,
    not_made: Vec<Column>,
    made_most: Number,
    not_made_most: Number,
    /// Where, how the text stands there, and the day.
    ticks: Vec<(usize, &'static str, String)>,
}

struct Column {
    x: usize,
    y: usize,
    height: usize,
    class: &'static str,
    title: String,
}

/// Days that are shown.
const DAYS: u16 = 30;

/// Of the charts: width of a column with its gap, and heights.
const STEP: usize = 28;
const COLUMN_AREA: usize = 120;

/// Rows of one trouble that are shown here; the rest is behind a link.
const SHOWN: usize = 5;

/// How old something uncovered may be before somebody should know, in seconds.
const UNCOVERED: i64 = 60;

pub async fn show(State(state): State<ApiState>, viewer: Viewer) -> Result<Response, Turned> {
    let overview = viewer
        .ask(&state, move |service, caller| async move { service.overview(&caller, DAYS).await })
        .await?;
    Ok(html(&page(&viewer, &overview))?)
}

fn page(viewer: &Viewer, overview: &Overview) -> OverviewPage {
    let Overview { now, days, progress, .. } = overview;
    let sum = |of: fn(&Day) -> u64| Number(days.iter().map(of).sum());
    let behind = progress.log_size.saturating_sub(progress.indexed);
    let covered = overview.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.head.size);
    OverviewPage {
        frame: Frame::new("Overview", Section::Overview, Some(viewer)),
        days: days.len(),
        signatures: sum(|day| day.signatures),
        refusals: sum(|day| day.refusals),
        failures: sum(|day| day.failures),
        more_failures: overview.troubled.iter().any(|(state, _, more)| {
            *more && matches!(state, SignatureState::Failed | SignatureState::GivenUp)
        }),
        log_size: Number(progress.log_size),
        warnings: warnings(overview),
        chart: Chart::of(days),
        table: days.iter().rev().map(DayRow::of).collect(),
        repositories: repositories(overview),
        troubled: overview
            .troubled
            .iter()
            .filter_map(|(state, listed, more)| trouble(overview, *state, listed, *more))
            .collect(),
        checkpoint: overview.checkpoint.as_ref().map(|checkpoint| CheckpointView {
            size: Number(checkpoint.head.size),
            newest: overview.covered_until.map(When),
            age: overview.covered_until.map(|time| lasted(time, *now)),
            uncovered: match progress.log_size.saturating_sub(covered) {
                1 => "1 entry".to_owned(),
                many => format!("{} entries", Number(many)),
            },
            root: checkpoint.head.root.to_string(),
        }),
        indexed: match behind {
            0 => "Everything can be searched".to_owned(),
            _ => format!("All but the newest {} can be searched", Number(behind)),
        },
        policy: Short(overview.policy.digest),
        rules: told::many(overview.policy.rules as u64, "rule"),
        is_whole: overview.is_whole,
        now: When(*now),
    }
}

fn warnings(overview: &Overview) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if let Err(code) = &overview.signer {
        let text = format!("Vault would not sign now: {code}. Jobs are refused until it does.");
        warnings.push(Warning { tone: Tone::Bad, text, link: None });
    }
    // Why may tell of rules about others.
    if let Some(reason) = overview.policy.refused.as_ref().filter(|_| overview.is_whole) {
        let text = format!(
            "The policy file was changed and can not be used, so the one before it is in force: {}",
            plain(reason)
        );
        let link = link("/audit/search", [("kind", "policy-refused".to_owned())]);
        warnings.push(Warning { tone: Tone::Bad, text, link: Some(("Its entries", link)) });
    }
    match (&overview.checkpoint, overview.waiting_since) {
        (None, _) if overview.progress.log_size > 0 => warnings.push(Warning {
            tone: Tone::Bad,
            text: "The log has no checkpoint yet, so that nothing can be proven. Look at Vault's key for checkpoints.".to_owned(),
            link: None,
        }),
        (_, Some(since)) if overview.now.as_second() - since.as_second() > UNCOVERED => warnings.push(Warning {
            tone: Tone::Bad,
            text: format!("Entries wait for a checkpoint since {}. No signature leaves meanwhile.", lasted(since, overview.now)),
            link: None,
        }),
        _ => {}
    }
    for (state, listed, has_more) in &overview.troubled {
        let old = || listed.iter().filter(|one| one.time < overview.indeterminate_before);
        let (count, before, after) = match state {
            SignatureState::Pending => (
                old().count(),
                "With an intent and without an outcome",
                "Whether Vault has signed, its audit log tells under the batch id.",
            ),
            SignatureState::Signed => (
                old().filter(|one| one.subject.repository.is_some()).count(),
                "Made, and not attached yet",
                "Signet goes on trying.",
            ),
            SignatureState::Missing => {
                (listed.len(), "Gone from their registry when looked at again", "Who deletes there?")
            }
            SignatureState::GivenUp => {
                (listed.len(), "Made, and attaching them was given up", "Ask for them again.")
            }
            SignatureState::Failed | SignatureState::Attached => (0, "", ""),
        };
        if count == 0 {
            continue;
        }
        let at_least = if *has_more { "at least " } else { "" };
        let how_many = told::many(count as u64, "signature");
        warnings.push(Warning {
            tone: if *state == SignatureState::Signed { Tone::Warning } else { Tone::Bad },
            text: format!("{before}: {at_least}{how_many}. {after}"),
            link: Some(("Show", signatures_link(*state))),
        });
    }
    warnings
}

fn signatures_link(state: SignatureState) -> String {
    let filter = match state {
        SignatureState::Pending => StateFilter::Indeterminate,
        state => StateFilter::Is(state),
    };
    let name = name_of(filter);
    link("/audit/signatures", [("state", name.to_owned())])
}

fn trouble(
    overview: &Overview,
    state: SignatureState,
    listed: &[crate::ports::ListedSignature],
    has_more: bool,
) -> Option<Trouble> {
    // Files have nothing to be attached to, and what is under way is no trouble.
    let is_trouble = |one: &&crate::ports::ListedSignature| match state {
        SignatureState::Signed => {
            one.subject.repository.is_some() && one.time < overview.indeterminate_before
        }
        SignatureState::Pending => one.time < overview.indeterminate_before,
        _ => true,
    };
    let listed: Vec<_> = listed.iter().filter(is_trouble).collect();
    if listed.is_empty() {
        return None;
    }
    let (word, tone) = told::state(state, true);
    let newest = listed.iter().rev().take(SHOWN);
    Some(Trouble {
        state: word,
        tone,
        count: listed.len(),
        has_more,
        rows: newest.map(|one| SignatureRow::of(one, overview.indeterminate_before)).collect(),
        link: signatures_link(state),
    })
}

fn repositories(overview: &Overview) -> Vec<Bar> {
    let most = overview.repositories.iter().map(|one| one.entries).max().unwrap_or_default();
    let bar = |one: &crate::ports::Counted| Bar {
        name: plain(&one.group),
        link: link("/audit/search", [("q", one.group.clone())]),
        count: Number(one.entries),
        share: (one.entries * 100).checked_div(most).unwrap_or_default(),
    };
    overview.repositories.iter().map(bar).collect()
}

impl DayRow {
    fn of(day: &Day) -> Self {
        Self {
            date: day.date.to_string(),
            signatures: Number(day.signatures),
            refusals: Number(day.refusals),
            failures: Number(day.failures),
        }
    }
}

impl Chart {
    fn of(days: &[Day]) -> Self {
        let made_most = days.iter().map(|day| day.signatures).max().unwrap_or_default();
        let not_made_most = days.iter().map(|day| day.refusals + day.failures).max().unwrap_or_default();
        let height = |count: u64, most: u64| {
            let height =
                (u128::from(count) * COLUMN_AREA as u128).checked_div(u128::from(most)).unwrap_or_default();
            // One is seen, however many there are on other days.
            usize::try_from(height).unwrap_or_default().max(if count > 0 { 2 } else { 0 })
        };
        let column = |place: usize, below: usize, count: u64, most: u64, class, what: &str, date| {
            let height = height(count, most).min(COLUMN_AREA.saturating_sub(below));
            Column {
                x: place * STEP + 4,
                y: COLUMN_AREA - below - height,
                height,
                class,
                title: format!("{date}: {} {what}", Number(count)),
            }
        };
        let made = days
            .iter()
            .enumerate()
            .map(|(place, day)| column(place, 0, day.signatures, made_most, "made", "signatures", day.date));
        let not_made = days.iter().enumerate().flat_map(|(place, day)| {
            let refused = column(place, 0, day.refusals, not_made_most, "refused", "refusals", day.date);
            let failed =
                column(place, refused.height, day.failures, not_made_most, "failed", "failures", day.date);
            [refused, failed]
        });
        Self {
            made: made.filter(|column| column.height > 0).collect(),
            not_made: not_made.filter(|column| column.height > 0).collect(),
            made_most: Number(made_most),
            not_made_most: Number(not_made_most),
            ticks: days
                .iter()
                .enumerate()
                .filter(|(place, _)| (days.len() - 1 - place).is_multiple_of(7))
                .map(|(place, day)| {
                    let is_last = place + 1 == days.len();
                    let (x, anchor) =
                        if is_last { (days.len() * STEP, "end") } else { (place * STEP + 14, "middle") };
                    (x, anchor, day.date.strftime("%b %-d").to_string())
                })
                .collect(),
        }
    }
}
