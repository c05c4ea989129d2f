//! Signet beside what users would take in its place, on real servers. `benches/run` starts it, and its `--help` says more.

mod cosign;
mod costs;
mod figures;
#[path = "../common/gitlab.rs"]
mod gitlab;
mod images;
mod load;
mod machine;
mod parts;
#[path = "../common/policy.rs"]
mod policy;
mod process;
#[path = "../common/images.rs"]
mod pushed;
mod report;
mod servers;
mod signet;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use self::load::Loads;
use self::machine::Machine;
use self::parts::Bench;
use self::servers::World;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
struct Arguments {
    /// A short run.
    #[arg(long)]
    quick: bool,
    #[arg(long)]
    rounds: Option<usize>,
    #[arg(long)]
    seconds: Option<u64>,
    /// Where the figures go, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// The page whose table is replaced.
    #[arg(long)]
    page: Option<PathBuf>,
    parts: Vec<Part>,
    /// What cargo passes on.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Files,
    Images,
    Calls,
    Memory,
    Overload,
    Costs,
}

/// How much is measured.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Scale {
    pub rounds: usize,
    /// Of each load.
    pub seconds: u64,
    /// Pushed for one load of Signet, which must not run out of them.
    pub images: usize,
    pub cosign_images: usize,
    /// Signatures after which memory is looked at again.
    pub many: u64,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    if std::env::var_os("SIGNET_TEST_SERVERS").is_none() {
        // `cargo bench` starts every target; this one does nothing by itself.
        println!("started by benches/run");
        return Ok(());
    }
    ::signet::server::install_crypto();
    let mut scale = match arguments.quick {
        true => Scale { rounds: 2, seconds: 3, images: 600, cosign_images: 24, many: 0 },
        false => Scale { rounds: 5, seconds: 8, images: 2000, cosign_images: 80, many: 1_000_000 },
    };
    scale.rounds = arguments.rounds.unwrap_or(scale.rounds);
    scale.seconds = arguments.seconds.unwrap_or(scale.seconds);
    let parts = match arguments.parts.as_slice() {
        [] => Part::value_variants(),
        parts => parts,
    };
    let world = World::new().await?;
    let wrk = std::env::var_os("WRK").ok_or("WRK is not set: start benches/run")?;
    let loads = Loads::new(wrk.into(), world.directory.path())?;
    let machine = Machine::of(&world, loads.wrk())?;
    let bench = Bench { world, loads, scale };
    let (mut rows, mut costs) = (Vec::new(), Vec::new());
    for part in parts {
        rows.extend(match part {
            Part::Files => bench.measure_files().await?,
            Part::Images => bench.measure_images().await?,
            Part::Calls => bench.measure_calls().await?,
            Part::Memory => bench.measure_memory().await?,
            Part::Overload => bench.measure_overload().await?,
            Part::Costs => {
                costs.extend(bench.measure_costs().await?);
                Vec::new()
            }
        });
    }
    let text = report::page(&machine, &scale, &rows, &costs);
    print!("{text}");
    if let Some(path) = arguments.json {
        let all = serde_json::json!({"machine": machine, "scale": scale, "compared": rows, "costs": costs});
        std::fs::write(path, format!("{all:#}\n"))?;
    }
    if let Some(path) = arguments.page {
        let page = report::replaced(&std::fs::read_to_string(&path)?, &text)
            .ok_or_else(|| format!("{} has no place for the table", path.display()))?;
        std::fs::write(path, page)?;
    }
    Ok(())
}
