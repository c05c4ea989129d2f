//! A process of its own that writes a log and publishes its checkpoints, so that it can be killed and hindered.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use futures::future::join_all;
use signet::ports::{SigningLog as _, Transparency as _};
use signet::tlog::{Hash, TreeHead};

use crate::checkpoints::Publishing;
use crate::fixtures::{Place, Story};

/// Says to the process what it is, and where its log is.
const PATH: &str = "SIGNET_TEST_WRITER_PATH";
const URL: &str = "SIGNET_TEST_WRITER_URL";

/// Entries that are on their way at once.
const AT_ONCE: usize = 16;

/// What the process has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// An entry was durable and covered: what an answer to a caller stands for.
    Answered { index: u64, leaf: String },
    /// A checkpoint was published.
    Published(TreeHead),
    /// An entry was not logged, or not covered.
    Refused(String),
}

/// A process that writes until it is ended.
pub struct Writer {
    child: Child,
    words: Receiver<Word>,
}

impl Writer {
    /// Over the log of `place`, started by `command`, to which the program and its arguments are added.
    pub fn start(place: &Place, mut command: Command) -> Self {
        command.arg(std::env::current_exe().unwrap());
        Self::spawn(place, command)
    }

    /// Over the log of `place`.
    pub fn over(place: &Place) -> Self {
        Self::spawn(place, Command::new(std::env::current_exe().unwrap()))
    }

    fn spawn(place: &Place, mut command: Command) -> Self {
        command.args(["--exact", "writer::writes_until_it_is_ended", "--include-ignored", "--nocapture"]);
        command.env(PATH, place.path());
        if let Some(url) = &place.url {
            command.env(URL, url);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (say, words) = sync_channel(100_000);
        std::thread::spawn(move || {
            for line in out.split(b'\n').map_while(Result::ok) {
                let word = String::from_utf8_lossy(&line).parse();
                if word.is_ok_and(|word| say.send(word).is_err()) {
                    return;
                }
            }
        });
        Self { child, words }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next word; none where the process has ended, or says nothing for a minute.
    pub fn next(&self) -> Option<Word> {
        self.words.recv_timeout(Duration::from_secs(60)).ok()
    }

    /// What is said until `moment`.
    pub fn until(&self, moment: Instant) -> Vec<Word> {
        let mut said = Vec::new();
        loop {
            match self.words.recv_timeout(moment.saturating_duration_since(Instant::now())) {
                Ok(word) => said.push(word),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return said,
            }
        }
    }

    /// The words up to the first that `which` is looking for.
    pub fn wait_for(&self, what: &str, which: impl Fn(&Word) -> bool) -> Vec<Word> {
        let mut said = Vec::new();
        loop {
            let word = self.next().unwrap_or_else(|| panic!("{what}: the process said nothing more"));
            let found = which(&word);
            said.push(word);
            if found {
                return said;
            }
        }
    }

    /// `kill -9`, and all that it has said by then.
    pub fn kill(mut self) -> Vec<Word> {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.words.iter().collect()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Word {
    pub const fn is_answer(&self) -> bool {
        matches!(self, Self::Answered { .. })
    }

    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

impl std::str::FromStr for Word {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let mut parts = line.split(' ');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("answered"), Some(index), Some(leaf)) => {
                Ok(Self::Answered { index: index.parse().map_err(drop)?, leaf: leaf.to_owned() })
            }
            (Some("published"), Some(size), Some(root)) => {
                let root = Hash::from_base64(root).ok_or(())?;
                Ok(Self::Published(TreeHead { size: size.parse().map_err(drop)?, root }))
            }
            (Some("refused"), _, _) => Ok(Self::Refused(line["refused ".len()..].to_owned())),
            _ => Err(()),
        }
    }
}

/// The process. A line is one write, so that a kill leaves none cut in its middle that could be taken for a whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by other tests, in a process of its own, and ended by them"]
async fn writes_until_it_is_ended() {
    let Some(path) = std::env::var_os(PATH) else { return };
    let path = std::path::PathBuf::from(path);
    let directory = path.parent().unwrap().to_owned();
    let place = Place::at(directory, std::env::var(URL).ok());
    let publishing = Publishing::at(&place);
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(format!("\n{line}\n").as_bytes());
        let _ = out.flush();
    };
    let mut published = publishing.checkpoints.published();
    let publish = async {
        while published.changed().await.is_ok() {
            let checkpoint = published.borrow_and_update().clone().unwrap();
            say(format!("published {} {}", checkpoint.head.size, checkpoint.head.root));
        }
    };
    let write = join_all((0..AT_ONCE).map(async |_| {
        loop {
            let story = Story::new();
            let entry = story.signed();
            let leaf = Hash::of_leaf(&entry.to_bytes());
            let covered = async {
                publishing.log.append(vec![story.intent()]).await?;
                let index = publishing.log.append(vec![entry]).await?;
                publishing.checkpoints.covered(index).await?;
                Ok::<_, signet::ports::LogError>(index)
            };
            match covered.await {
                Ok(index) => say(format!("answered {index} {leaf}")),
                Err(error) => {
                    say(format!("refused {error}"));
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }));
    tokio::join!(publish, write);
}
