//! What processes take.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Failure;

/// A moment's state of a process that is running.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// User and system time.
    pub cpu: Duration,
    /// Resident memory now, and at its most, in bytes.
    pub resident: u64,
    pub resident_peak: u64,
}

/// What process `id` has taken so far.
///
/// # Errors
/// Where there is none.
pub fn usage(id: u32) -> Result<Usage, Failure> {
    let stat = Stat::of(id)?;
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let memory = |name: &str| -> Result<u64, Failure> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no memory")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    };
    Ok(Usage { cpu: stat.own, resident: memory("VmRSS:")?, resident_peak: memory("VmHWM:")? })
}

/// From now on the most memory of process `id` is that of the time from now on.
///
/// # Errors
/// Where there is none.
pub fn forget_peak(id: u32) -> Result<(), Failure> {
    Ok(std::fs::write(format!("/proc/{id}/clear_refs"), "5")?)
}

/// What each of the processes `roots` has taken so far together with all that it has started, those among them that have
/// ended included.
///
/// # Errors
/// Where one of them is not there.
pub fn of_trees(roots: &[u32]) -> Result<Vec<Duration>, Failure> {
    let ids = std::fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    // What has ended meanwhile is told by its parent.
    let all: BTreeMap<u32, Stat> = ids.filter_map(|id| Some((id, Stat::of(id).ok()?))).collect();
    let of_tree = |root: &u32| -> Result<Duration, Failure> {
        if !all.contains_key(root) {
            return Err(format!("process {root} has ended").into());
        }
        let belongs = |id: &u32| {
            let mut line = std::iter::successors(Some(*id), |id| Some(all.get(id)?.parent));
            line.any(|id| id == *root)
        };
        let tree = all.iter().filter(|(id, _)| belongs(id));
        Ok(tree.map(|(_, stat)| stat.own + stat.of_ended).sum())
    };
    roots.iter().map(of_tree).collect()
}

/// What processes that this one has started have taken, those that have ended.
///
/// # Errors
/// Where the kernel does not say.
pub fn of_ended_children() -> Result<Duration, Failure> {
    Ok(Stat::of(std::process::id())?.of_ended)
}

/// The kernel counts in hundredths of a second on every machine that this runs on.
pub const fn ticks(count: u64) -> Duration {
    Duration::from_millis(count * 10)
}

/// `/proc/<id>/stat`.
struct Stat {
    parent: u32,
    /// User and system time.
    own: Duration,
    /// Of its children that have ended, and of theirs.
    of_ended: Duration,
}

impl Stat {
    fn of(id: u32) -> Result<Self, Failure> {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
        // The name before the parenthesis may hold anything.
        let (_, fields) = stat.rsplit_once(") ").ok_or("no process")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let time = |user: usize| -> Result<Duration, Failure> {
            Ok(ticks(fields[user].parse::<u64>()? + fields[user + 1].parse::<u64>()?))
        };
        Ok(Self { parent: fields[1].parse()?, own: time(11)?, of_ended: time(13)? })
    }
}
