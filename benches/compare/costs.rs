//! What a signature costs: the time of the processors by component, and what shared a call, a commit and a checkpoint.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::Failure;
use crate::figures::Figures;
use crate::process::{of_ended_children, of_trees, ticks};
use crate::servers::{DISTRIBUTION, World};
use crate::signet::Signet;

/// Reads what is used of the machine while something runs, and by whom.
pub struct Meter<'a> {
    /// First processes, and in whose column they and all below them are.
    trees: Vec<(u32, &'static str)>,
    signets: &'a [Signet],
}

/// All that was used up to a moment.
pub struct Reading {
    /// User and system time by column.
    components: BTreeMap<&'static str, Duration>,
    machine: Machine,
    counts: Counts,
}

/// The processors' time, all of them together.
struct Machine {
    idle: Duration,
    all: Duration,
}

/// What Signet counts.
#[derive(Default)]
struct Counts {
    vault_calls: f64,
    vault_items: f64,
    commits: f64,
    entries: f64,
    checkpoints: f64,
}

/// One load, in several rounds.
#[derive(Debug, Serialize)]
pub struct Cost {
    name: &'static str,
    /// By column.
    figures: BTreeMap<&'static str, Figures>,
}

const SIGNET: &str = "Signet";
const VAULT: &str = "Vault";
const POSTGRES: &str = "PostgreSQL";
const REGISTRY: &str = "registry";
const WRK: &str = "wrk";
/// All else that ran on the machine meanwhile, the kernel's own threads among it.
const OTHERS: &str = "others";
const PER_SECOND: &str = "signatures/s";
const PER_CALL: &str = "signatures per Vault call";
const PER_COMMIT: &str = "entries per commit";
const PER_CHECKPOINT: &str = "signatures per checkpoint";
const IDLE: &str = "idle";

/// In the order of the table. Those from the second on to [`OTHERS`] are microseconds of a processor per signature.
const COLUMNS: [&str; 11] =
    [PER_SECOND, SIGNET, VAULT, POSTGRES, REGISTRY, WRK, OTHERS, PER_CALL, PER_COMMIT, PER_CHECKPOINT, IDLE];

impl<'a> Meter<'a> {
    /// Of the servers that all share, and of `signets`.
    pub fn new(world: &World, signets: &'a [Signet]) -> Self {
        let servers = [("vault", VAULT), ("postgresql", POSTGRES), (DISTRIBUTION, REGISTRY)];
        let servers = servers.map(|(name, column)| (world.servers.processes[name], column));
        let ours = signets.iter().map(|signet| (signet.id(), SIGNET));
        Self { trees: ours.chain(servers).collect(), signets }
    }

    /// # Errors
    /// Where a server has ended.
    pub async fn read(&self) -> Result<Reading, Failure> {
        let mut counts = Counts::default();
        for signet in self.signets {
            counts.vault_calls += signet.count("signet_vault_batch_items_count", "").await?;
            counts.vault_items += signet.count("signet_vault_batch_items_sum", "").await?;
            counts.commits += signet.count("signet_log_commit_seconds_count", "").await?;
            counts.entries += signet.count("signet_log_entries_total", "").await?;
            counts.checkpoints += signet.count("signet_log_checkpoint_seconds_count", "").await?;
        }
        let mut components = BTreeMap::from([(WRK, of_ended_children()?)]);
        let roots: Vec<_> = self.trees.iter().map(|(root, _)| *root).collect();
        for ((_, column), cpu) in self.trees.iter().zip(of_trees(&roots)?) {
            *components.entry(*column).or_default() += cpu;
        }
        Ok(Reading { components, machine: Machine::now()?, counts })
    }
}

impl Machine {
    fn now() -> Result<Self, Failure> {
        let stat = std::fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().and_then(|line| line.strip_prefix("cpu ")).ok_or("no processors")?;
        // The first eight; those after them are parts of the first two. The fourth and fifth are idle, and idle while a disk works.
        let fields: Result<Vec<u64>, _> = line.split_whitespace().take(8).map(str::parse).collect();
        let fields = fields?;
        Ok(Self { idle: ticks(fields[3] + fields[4]), all: ticks(fields.iter().sum()) })
    }
}

impl Cost {
    pub const fn new(name: &'static str) -> Self {
        Self { name, figures: BTreeMap::new() }
    }

    /// Adds a round in which so many signatures were made in so many seconds, between two readings.
    pub fn push(&mut self, signatures: u64, per_second: f64, before: &Reading, after: &Reading) {
        let signatures = signatures as f64;
        let mut push = |column, figure| self.figures.entry(column).or_default().push(figure);
        let mut known = Duration::ZERO;
        for (column, cpu) in &after.components {
            let used = cpu.saturating_sub(before.components[column]);
            known += used;
            push(*column, used.as_secs_f64() * 1e6 / signatures);
        }
        let all = after.machine.all.saturating_sub(before.machine.all);
        let idle = after.machine.idle.saturating_sub(before.machine.idle);
        let others = all.saturating_sub(idle).saturating_sub(known);
        push(OTHERS, others.as_secs_f64() * 1e6 / signatures);
        push(IDLE, idle.as_secs_f64() / all.as_secs_f64());
        push(PER_SECOND, per_second);
        let of = |count: fn(&Counts) -> f64| count(&after.counts) - count(&before.counts);
        push(PER_CALL, of(|counts| counts.vault_items) / of(|counts| counts.vault_calls));
        push(PER_COMMIT, of(|counts| counts.entries) / of(|counts| counts.commits));
        push(PER_CHECKPOINT, signatures / of(|counts| counts.checkpoints));
    }
}

/// The medians, as a table in Markdown.
pub fn table(costs: &[Cost]) -> String {
    let mut text = format!("| µs of CPU per signature | {} |\n", COLUMNS.join(" | "));
    let _ = writeln!(text, "|---|{}", "---|".repeat(COLUMNS.len()));
    for cost in costs {
        let cells = COLUMNS.map(|column| {
            let median = cost.figures[column].median();
            match column {
                IDLE => format!("{:.0} %", median * 100.0),
                PER_CALL | PER_COMMIT | PER_CHECKPOINT => format!("{median:.1}"),
                _ => format!("{median:.0}"),
            }
        });
        let _ = writeln!(text, "| {} | {} |", cost.name, cells.join(" | "));
    }
    text
}
