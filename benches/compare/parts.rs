//! What is measured. Each part alternates between Signet and what it is compared with, round by round.

use std::time::Instant;

use crate::cosign::Cosign;
use crate::costs::{Cost, Meter};
use crate::figures::Figures;
use crate::images::Images;
use crate::load::{Load, Loads, Script};
use crate::process::forget_peak;
use crate::report::{Goal, Row};
use crate::servers::{DELAY, World};
use crate::signet::{Signet, Store};
use crate::{Failure, Scale};

/// What every part has.
pub struct Bench {
    pub world: World,
    pub loads: Loads,
    pub scale: Scale,
}

const CREATED: u16 = 201;

impl Bench {
    fn say(&self, round: usize, what: &str) {
        eprintln!("round {} of {}: {what}", round + 1, self.scale.rounds);
    }

    /// Digits that no other load has.
    fn seed() -> String {
        uuid::Uuid::new_v4().simple().to_string()
    }

    async fn vault(&self, connections: usize) -> Result<Load, Failure> {
        let url = format!("{}/v1/transit/sign/release/sha2-256", self.world.servers.vault.address);
        let arguments = [Self::seed(), self.world.vault_token.clone()];
        let arguments = arguments.each_ref().map(String::as_str);
        let load = self.loads.run(Script::Vault, &url, connections, self.scale.seconds, &arguments);
        load.await?.all_good()
    }

    async fn load_of_files(&self, signet: &Signet, connections: usize) -> Result<Load, Failure> {
        let arguments = [Self::seed(), self.world.tokens()];
        let arguments = arguments.each_ref().map(String::as_str);
        let url = signet.url("/v1/blobs");
        self.loads.run(Script::Blobs, &url, connections, self.scale.seconds, &arguments).await
    }

    /// Signatures of files: each answer has to be one that was made for it.
    async fn files(&self, signet: &Signet, connections: usize) -> Result<Load, Failure> {
        let made = signet.answers(CREATED).await?;
        let load = self.load_of_files(signet, connections).await?.all_good()?;
        let made = signet.answers(CREATED).await? - made;
        // What was under way when the load ended is made too.
        if made < load.requests as f64 {
            return Err(format!("{made} signatures for {} answers", load.requests).into());
        }
        Ok(load)
    }

    async fn images(
        &self,
        signet: &Signet,
        images: &Images,
        callers: usize,
        status: u16,
    ) -> Result<Load, Failure> {
        let before = signet.answers(status).await?;
        let file = images.file(&self.world)?.display().to_string();
        let arguments = [file.as_str(), &self.world.tokens()];
        let url = signet.url("/v1/signatures");
        let load = self.loads.run(Script::Images, &url, callers, self.scale.seconds, &arguments);
        let load = load.await?.all_good()?;
        let counted = signet.answers(status).await? - before;
        if counted < load.requests as f64 {
            let (answers, count) = (load.requests, images.references.len());
            return Err(format!("{counted} of {answers} answers for {count} images are {status}").into());
        }
        Ok(load)
    }

    /// Signatures of files beside calls of `transit/sign`.
    pub async fn measure_files(&self) -> Result<Vec<Row>, Failure> {
        let signet = Signet::start(&self.world, "files", &Store::Sqlite).await?;
        let database = self.world.database("files").await?;
        let mut replicas = Vec::new();
        for name in ["replica-1", "replica-2"] {
            replicas.push(Signet::start(&self.world, name, &Store::Postgres(database.clone())).await?);
        }
        let mut rates: [Figures; 5] = Default::default();
        let mut latencies: [Figures; 2] = Default::default();
        for round in 0..self.scale.rounds {
            for (index, connections) in [(0, 64), (2, 256)] {
                self.say(round, &format!("files, {connections} connections"));
                rates[index].push(self.vault(connections).await?.per_second());
                rates[index + 1].push(self.files(&signet, connections).await?.per_second());
            }
            self.say(round, "files, PostgreSQL, two replicas");
            let (one, other) =
                futures::future::join(self.files(&replicas[0], 32), self.files(&replicas[1], 32)).await;
            rates[4].push(one?.per_second() + other?.per_second());
            self.say(round, "files, one caller");
            latencies[0].push(self.vault(1).await?.p50 as f64 / 1000.0);
            latencies[1].push(self.files(&signet, 1).await?.p50 as f64 / 1000.0);
        }
        let [vault_64, signet_64, vault_256, signet_256, postgres] = rates;
        let [vault_one, signet_one] = latencies;
        let per_second = "signatures/s";
        Ok(vec![
            Row::new(
                "files, 64 connections, SQLite",
                per_second,
                signet_64,
                vault_64.clone(),
                Goal::AtLeast(1.2),
            ),
            Row::new("files, 256 connections, SQLite", per_second, signet_256, vault_256, Goal::AtLeast(1.9)),
            Row::new(
                "files, 64 connections, PostgreSQL, two replicas",
                per_second,
                postgres,
                vault_64,
                Goal::AtLeast(0.8),
            ),
            Row::new("files, one caller, SQLite, p50", "ms", signet_one, vault_one, Goal::More(1.5)),
        ])
    }

    /// Images that are signed and attached beside `cosign sign`.
    pub async fn measure_images(&self) -> Result<Vec<Row>, Failure> {
        const CALLERS: usize = 8;
        let signet = Signet::start(&self.world, "images", &Store::Sqlite).await?;
        let cosign = Cosign::new(&self.world)?;
        let registry = self.world.registry();
        let mut rates: [Figures; 4] = Default::default();
        let mut cpu: [Figures; 2] = Default::default();
        for round in 0..self.scale.rounds {
            self.say(round, "images are pushed");
            let ours = Images::push(&self.world, registry, self.scale.images).await?;
            let theirs = Images::push(&self.world, registry, self.scale.cosign_images).await?;
            let count = theirs.references.len() as f64;
            self.say(round, "images, cosign");
            for (rate, first) in [(1, true), (3, false)] {
                let took = cosign.sign(&self.world, &theirs, CALLERS).await?;
                rates[rate].push(count / took.elapsed.as_secs_f64());
                if first {
                    cpu[1].push(took.cpu.as_secs_f64() * 1000.0 / count);
                }
            }
            self.say(round, "images, Signet");
            let before = signet.usage()?.cpu;
            let load = self.images(&signet, &ours, CALLERS, CREATED).await?;
            let used = signet.usage()?.cpu.saturating_sub(before);
            rates[0].push(load.per_second());
            cpu[0].push(used.as_secs_f64() * 1000.0 / load.requests as f64);
            // Those that were signed just now: wrk asks its script once to no end, and of the last that it sent, some may have been cut off.
            let signed = usize::try_from(load.requests)?.saturating_sub(CALLERS);
            let signed = ours.references.into_iter().skip(1).take(signed).collect();
            let load = self.images(&signet, &Images { references: signed }, CALLERS, 200).await?;
            rates[2].push(load.per_second());
        }
        let [signet_first, cosign_first, signet_again, cosign_again] = rates;
        let [signet_cpu, cosign_cpu] = cpu;
        Ok(vec![
            Row::new("images, 8 callers", "images/s", signet_first, cosign_first, Goal::AtLeast(10.0)),
            Row::new("the same images again", "images/s", signet_again, cosign_again, Goal::AtLeast(30.0)),
            Row::new("CPU of an image, client side", "ms", signet_cpu, cosign_cpu, Goal::AtMost(1.0 / 40.0)),
        ])
    }

    /// The calls that a registry gets for the first signature of an image, and what a slow one makes of them.
    pub async fn measure_calls(&self) -> Result<Vec<Row>, Failure> {
        let signet = Signet::start(&self.world, "calls", &Store::Sqlite).await?;
        let cosign = Cosign::new(&self.world)?;
        let (mut calls, mut single): ([Figures; 2], Figures) = Default::default();
        let mut delayed: [Figures; 2] = Default::default();
        let single_host = &self.world.servers.registries["ociregistry"];
        let counted = &self.world.counted;
        for host in [&counted.host, single_host, &self.world.slow.host] {
            // The first of each repository learns what the registry can.
            let images = Images::push(&self.world, host, 1).await?;
            self.sign_one(&signet, &images.references[0]).await?;
        }
        for round in 0..self.scale.rounds {
            self.say(round, "registry calls");
            let images = Images::push(&self.world, &counted.host, 3).await?;
            self.sign_one(&signet, &images.references[2]).await?;
            let before = counted.calls()?;
            self.sign_one(&signet, &images.references[0]).await?;
            calls[0].push((counted.calls()? - before) as f64);
            let before = counted.calls()?;
            let one = Images { references: vec![images.references[1].clone()] };
            cosign.sign(&self.world, &one, 1).await?;
            calls[1].push((counted.calls()? - before) as f64);

            let images = Images::push(&self.world, single_host, 2).await?;
            self.sign_one(&signet, &images.references[1]).await?;
            let before = signet.registry_calls().await?;
            self.sign_one(&signet, &images.references[0]).await?;
            single.push(signet.registry_calls().await? - before);

            self.say(round, "a slow registry");
            let images = Images::push(&self.world, self.world.registry(), 3).await?;
            let images = images.at(&self.world.slow.host)?;
            self.sign_one(&signet, &images.references[2]).await?;
            let began = Instant::now();
            self.sign_one(&signet, &images.references[0]).await?;
            delayed[0].push(began.elapsed().as_secs_f64() * 1000.0);
            let one = Images { references: vec![images.references[1].clone()] };
            let took = cosign.sign(&self.world, &one, 1).await?;
            delayed[1].push(took.elapsed.as_secs_f64() * 1000.0);
        }
        let [signet_calls, cosign_calls] = calls;
        let [signet_slow, cosign_slow] = delayed;
        let slow = format!("one image, {} ms more for each registry call", DELAY.as_millis());
        Ok(vec![
            Row::new(
                "registry calls of a first signature",
                "calls",
                signet_calls,
                cosign_calls.clone(),
                Goal::OursAtMost(9.0),
            ),
            Row::new(
                "the same, uploads in a single request",
                "calls",
                single,
                cosign_calls,
                Goal::OursAtMost(7.0),
            ),
            Row::new(&slow, "ms", signet_slow, cosign_slow, Goal::AtMost(1.0 / 3.0)),
        ])
    }

    async fn sign_one(&self, signet: &Signet, image: &str) -> Result<(), Failure> {
        let tokens = std::fs::read_to_string(self.world.tokens())?;
        let token = tokens.lines().next().ok_or("no token")?;
        let body = serde_json::json!({"image": image, "key": "release", "format": "cosign"});
        let request = self.world.http.post(signet.url("/v1/signatures")).bearer_auth(token);
        let answer = request.json(&body).send().await?;
        if answer.status().as_u16() != CREATED {
            return Err(format!("{image}: {} {}", answer.status(), answer.text().await?).into());
        }
        Ok(())
    }

    /// Memory at 64 callers, and after many signatures.
    pub async fn measure_memory(&self) -> Result<Vec<Row>, Failure> {
        let signet = Signet::start(&self.world, "memory", &Store::Sqlite).await?;
        let cosign = Cosign::new(&self.world)?;
        let images = Images::push(&self.world, self.world.registry(), self.scale.rounds).await?;
        let mut theirs = Figures::default();
        for image in &images.references {
            theirs.push(cosign.memory(&self.world, image).await? as f64 / 1e6);
        }
        let mut ours = Figures::default();
        for round in 0..self.scale.rounds {
            self.say(round, "memory, 64 connections");
            forget_peak(signet.id())?;
            self.files(&signet, 64).await?;
            ours.push(signet.usage()?.resident_peak as f64 / 1e6);
        }
        let mut rows = vec![Row::new("memory at 64 callers", "MB", ours, theirs.clone(), Goal::AtMost(1.0))];
        let mut later = Figures::default();
        while signet.answers(CREATED).await? < self.scale.many as f64 {
            let made = signet.answers(CREATED).await?;
            eprintln!("memory: {made} of {} signatures", self.scale.many);
            self.files(&signet, 64).await?;
            later.push(signet.usage()?.resident as f64 / 1e6);
        }
        if !later.0.is_empty() {
            let name = format!("memory on the way to {} signatures", self.scale.many);
            rows.push(Row::new(&name, "MB", later, theirs, Goal::AtMost(1.0)));
        }
        Ok(rows)
    }

    /// Good answers under a multiple of the load of the peak, beside the peak.
    pub async fn measure_overload(&self) -> Result<Vec<Row>, Failure> {
        const PEAK: usize = 256;
        // With the last, more wait than the queue has places for.
        const MULTIPLES: [usize; 2] = [4, 8];
        let signet = Signet::start(&self.world, "overload", &Store::Sqlite).await?;
        let (mut peak, mut peak_memory) = (Figures::default(), Figures::default());
        let mut above = [(); MULTIPLES.len()].map(|()| <[Figures; 3]>::default());
        for round in 0..self.scale.rounds {
            self.say(round, "overload");
            forget_peak(signet.id())?;
            peak.push(self.files(&signet, PEAK).await?.per_second());
            peak_memory.push(signet.usage()?.resident_peak as f64 / 1e6);
            for (multiple, [good, refused, memory]) in MULTIPLES.into_iter().zip(&mut above) {
                let made = signet.answers(CREATED).await?;
                forget_peak(signet.id())?;
                let load = self.load_of_files(&signet, PEAK * multiple).await?;
                let made = signet.answers(CREATED).await? - made;
                good.push((load.requests - load.bad_status).min(made as u64) as f64 / load.seconds());
                refused.push(load.bad_status as f64 / load.seconds());
                memory.push(signet.usage()?.resident_peak as f64 / 1e6);
            }
        }
        let mut rows = Vec::new();
        for (multiple, [good, refused, memory]) in MULTIPLES.into_iter().zip(above) {
            let name = format!("good answers at {multiple} times the load of the peak");
            rows.push(Row::new(&name, "signatures/s", good, peak.clone(), Goal::AtLeast(0.9)));
            rows.push(Row::alone("refused with 503 meanwhile", "answers/s", refused));
            rows.push(Row::new(
                "memory meanwhile, beside that at the peak",
                "MB",
                memory,
                peak_memory.clone(),
                Goal::None,
            ));
        }
        Ok(rows)
    }

    /// What a signature takes of the processors, component by component.
    pub async fn measure_costs(&self) -> Result<Vec<Cost>, Failure> {
        const CALLERS: usize = 8;
        let sqlite = [Signet::start(&self.world, "costs", &Store::Sqlite).await?];
        let database = Store::Postgres(self.world.database("costs").await?);
        let replicas = [
            Signet::start(&self.world, "costs-1", &database).await?,
            Signet::start(&self.world, "costs-2", &database).await?,
        ];
        let mut costs = [
            Cost::new("files, 64 connections, SQLite"),
            Cost::new("files, 256 connections, SQLite"),
            Cost::new("files, 64 connections, PostgreSQL, two replicas"),
            Cost::new("images, 8 callers, SQLite"),
        ];
        let (alone, both) = (Meter::new(&self.world, &sqlite), Meter::new(&self.world, &replicas));
        for round in 0..self.scale.rounds {
            for (cost, connections) in [(0, 64), (1, 256)] {
                self.say(round, &format!("costs, files, {connections} connections"));
                let before = alone.read().await?;
                let load = self.files(&sqlite[0], connections).await?;
                costs[cost].push(load.requests, load.per_second(), &before, &alone.read().await?);
            }
            self.say(round, "costs, files, PostgreSQL, two replicas");
            let before = both.read().await?;
            let (one, other) =
                futures::future::join(self.files(&replicas[0], 32), self.files(&replicas[1], 32)).await;
            let (one, other) = (one?, other?);
            let per_second = one.per_second() + other.per_second();
            costs[2].push(one.requests + other.requests, per_second, &before, &both.read().await?);
            self.say(round, "costs, images");
            let images = Images::push(&self.world, self.world.registry(), self.scale.images).await?;
            let before = alone.read().await?;
            let load = self.images(&sqlite[0], &images, CALLERS, CREATED).await?;
            costs[3].push(load.requests, load.per_second(), &before, &alone.read().await?);
        }
        Ok(costs.into())
    }
}
