//! What processes take.

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
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").ok_or("no process")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let memory = |name: &str| -> Result<u64, Failure> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no memory")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    };
    Ok(Usage {
        // The kernel counts in hundredths of a second on every machine that this runs on.
        cpu: Duration::from_millis(ticks * 10),
        resident: memory("VmRSS:")?,
        resident_peak: memory("VmHWM:")?,
    })
}

/// From now on the most memory of process `id` is that of the time from now on.
///
/// # Errors
/// Where there is none.
pub fn forget_peak(id: u32) -> Result<(), Failure> {
    Ok(std::fs::write(format!("/proc/{id}/clear_refs"), "5")?)
}
