//! Tables.

use std::fmt::Write as _;

use serde::Serialize;

use crate::Scale;
use crate::cosign::Cosign;
use crate::costs::{self, Cost};
use crate::figures::Figures;
use crate::machine::Machine;

/// One line: Signet beside what it is compared with.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub name: String,
    pub unit: &'static str,
    pub signet: Figures,
    /// None where nothing is compared.
    pub other: Option<Figures>,
    pub goal: Goal,
}

/// What is wanted. Ratios are of medians, Signet's divided by the other's.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// So much more than the other, or less.
    More(f64),
    /// Signet's own figure.
    OursAtMost(f64),
    None,
}

impl Row {
    pub fn new(name: &str, unit: &'static str, signet: Figures, other: Figures, goal: Goal) -> Self {
        Self { name: name.to_owned(), unit, signet, other: Some(other), goal }
    }

    pub fn alone(name: &str, unit: &'static str, signet: Figures) -> Self {
        Self { name: name.to_owned(), unit, signet, other: None, goal: Goal::None }
    }

    /// What the goal speaks of.
    fn measured(&self) -> Option<f64> {
        let other = self.other.as_ref()?.median();
        Some(match self.goal {
            Goal::AtLeast(_) | Goal::AtMost(_) | Goal::None => self.signet.median() / other,
            Goal::More(_) => self.signet.median() - other,
            Goal::OursAtMost(_) => self.signet.median(),
        })
    }

    fn is_reached(&self) -> Option<bool> {
        let measured = self.measured()?;
        match self.goal {
            Goal::AtLeast(goal) => Some(measured >= goal),
            Goal::AtMost(goal) | Goal::More(goal) | Goal::OursAtMost(goal) => Some(measured <= goal),
            Goal::None => None,
        }
    }
}

/// Everything that was measured, in Markdown.
pub fn page(machine: &Machine, scale: &Scale, rows: &[Row], costs: &[Cost]) -> String {
    let mut parts = vec![machine.sentences()];
    if !rows.is_empty() {
        parts.push(table(rows));
    }
    if !costs.is_empty() {
        parts.push(costs::table(costs));
    }
    parts.push(conditions(scale));
    parts.join("\n")
}

/// How it was measured.
fn conditions(scale: &Scale) -> String {
    let Scale { rounds, seconds, cosign_images, .. } = scale;
    let cosign = Cosign::FLAGS.join(" ");
    format!(
        "{rounds} rounds in which all took turns; each load of wrk took {seconds} s with one thread. Vault: `server -dev`, \
         file audit device on. Beside files: wrk posts `transit/sign/release/sha2-256` with a prehashed SHA-256, `marshaling_algorithm` \
         `asn1` and a token whose policy allows that alone. Beside images: `xargs -P 8 -n 1 cosign {cosign}` over {cosign_images} images a \
         round, of the same registry, key and Vault. Signet: `signet serve` with its defaults (`synchronous=FULL`, a checkpoint by Vault before \
         each answer, access log on), OIDC tokens of 64 jobs, a policy of 22 rules; each answer was a 201 for a digest \
         of its own (again: a 200).\n"
    )
}

/// The page with `text` between the lines that mark its place; none where it has no such place.
pub fn replaced(page: &str, text: &str) -> Option<String> {
    const MARKS: [&str; 2] = ["<!-- benches/run: from here -->\n", "<!-- benches/run: to here -->"];
    let (before, rest) = page.split_once(MARKS[0])?;
    let (_, after) = rest.split_once(MARKS[1])?;
    Some(format!("{before}{}\n{text}\n{}{after}", MARKS[0], MARKS[1]))
}

/// The rows as a table in Markdown.
fn table(rows: &[Row]) -> String {
    let mut text = "| | unit | Signet: min, **median**, max | the other: min, **median**, max | ratio | goal |\n|---|---|---|---|---|---|\n".to_owned();
    for row in rows {
        let other = row.other.as_ref().map_or_else(String::new, three);
        let ratio = match (row.goal, row.measured()) {
            (_, None) => String::new(),
            (Goal::More(_), Some(more)) => format!("{more:+.2} {}", row.unit),
            (Goal::OursAtMost(_), Some(_)) => String::new(),
            (_, Some(ratio)) if ratio < 0.1 => format!("1/{:.0}", 1.0 / ratio),
            (_, Some(ratio)) => format!("**{ratio:.2}**"),
        };
        let goal = match row.goal {
            Goal::AtLeast(goal) => format!("≥ {goal}"),
            Goal::AtMost(goal) if goal < 1.0 => format!("≤ 1/{:.0}", 1.0 / goal),
            Goal::AtMost(goal) => format!("≤ {goal}"),
            Goal::More(goal) => format!("≤ +{goal} {}", row.unit),
            Goal::OursAtMost(goal) => format!("≤ {goal}"),
            Goal::None => String::new(),
        };
        let mark = match row.is_reached() {
            Some(true) => " reached",
            Some(false) => " **not reached**",
            None => "",
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {other} | {ratio} | {goal}{mark} |",
            row.name,
            row.unit,
            three(&row.signet)
        );
    }
    text
}

fn three(figures: &Figures) -> String {
    let show = |value: f64| if value.abs() < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") };
    format!("{}, **{}**, {}", show(figures.min()), show(figures.median()), show(figures.max()))
}
