//! Disks that are full or fail: nothing is called durable that is not, and it goes on when they do.

use std::path::{Path, PathBuf};
use std::process::Command;

use signet::log::check;

use crate::fixtures::{Place, outside};
use crate::storm::Seen;
use crate::writer::{Word, Writer};

#[test]
fn a_file_that_may_not_grow_refuses_entries_and_takes_them_again_when_it_may() {
    let place = Place::sqlite();
    // Two megabytes. The signal that comes with it is left to the error.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -S -f 4096; exec \"$0\" \"$@\""]);
    let writer = Writer::start(&place, limited);
    let mut seen = Seen::default();
    let refused = take_until_refused(&writer, &mut seen);
    assert!(refused.contains("disk I/O error") || refused.contains("full"), "{refused}");
    seen.assert_held(&*place.reader());

    let unlimited = ["--pid", &writer.pid().to_string(), "--fsize=unlimited"];
    assert!(Command::new("prlimit").args(unlimited).status().unwrap().success());
    goes_on(&place, writer, seen);
}

/// The log's own folder, of four megabytes, that only the process that writes has mounted.
#[test]
fn a_full_disk_refuses_entries_and_takes_them_again_when_there_is_room() {
    let place = Place::sqlite();
    let mut small = Command::new("unshare");
    small.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    let folder = place.directory.path().display().to_string();
    small.arg(format!("mount -t tmpfs -o size=4m signet {folder} && exec \"$0\" \"$@\""));
    let writer = Writer::start(&place, small);
    let mut seen = Seen::default();
    let refused = take_until_refused(&writer, &mut seen);
    assert!(refused.contains("disk is full") || refused.contains("disk I/O error"), "{refused}");
    seen.assert_held(&*copy(&writer, &place).reader());

    let more = ["--target", &writer.pid().to_string(), "--user", "--mount", "--preserve-credentials"];
    let mut nsenter = Command::new("nsenter");
    nsenter.args(more).args(["mount", "-o", "remount,size=64m", &folder]);
    assert!(nsenter.status().unwrap().success());
    let answers = writer.wait_for("there is room again", Word::is_answer);
    seen.take(answers.into_iter().filter(|word| !word.is_refusal()).collect());
    let copy = copy(&writer, &place);
    seen.assert_held(&*copy.reader());
    check(&*copy.reader(), |_, _| ()).unwrap();
}

/// What the process that writes has of its log at one moment.
fn copy(writer: &Writer, place: &Place) -> Place {
    let signal = |name: &str| {
        let sent = Command::new("kill").args([name, &writer.pid().to_string()]).status();
        assert!(sent.unwrap().success());
    };
    let copy = Place::sqlite();
    signal("-STOP");
    for end in ["", "-wal"] {
        let file = |place: &Place| format!("{}{end}", place.path().display());
        std::fs::copy(format!("/proc/{}/root{}", writer.pid(), file(place)), file(&copy)).unwrap();
    }
    signal("-CONT");
    drop(copy.store());
    copy
}

/// `fsync` and `fdatasync` fail in the process that writes, by a library that is put before libc.
#[test]
fn what_the_disk_did_not_take_is_not_answered_and_what_was_answered_stays() {
    let place = Place::sqlite();
    let failing = place.directory.path().join("failing");
    let library = failing_sync(place.directory.path());
    let mut preloaded = Command::new("env");
    preloaded.env("LD_PRELOAD", library).env("SIGNET_TEST_FAILING_SYNC", &failing);
    let writer = Writer::start(&place, preloaded);
    let mut seen = Seen::default();
    for _ in 0..3 {
        seen.take(writer.wait_for("it writes", Word::is_answer));
        std::fs::write(&failing, "").unwrap();
        let refused = take_until_refused(&writer, &mut seen);
        assert!(refused.contains("disk I/O error"), "{refused}");
        // What began before it failed is over after a few refusals; from then on nothing is answered.
        for _ in 0..32 {
            let words = writer.wait_for("it refuses", Word::is_refusal);
            seen.take(words.into_iter().filter(|word| !word.is_refusal()).collect());
        }
        let words = writer.wait_for("it refuses", Word::is_refusal);
        assert!(!words.iter().any(Word::is_answer), "{words:?}");
        std::fs::remove_file(&failing).unwrap();
        let words = writer.wait_for("the disk works again", Word::is_answer);
        seen.take(words.into_iter().filter(|word| !word.is_refusal()).collect());
    }
    goes_on(&place, writer, seen);
}

/// The words up to a refusal, and what that says.
fn take_until_refused(writer: &Writer, seen: &mut Seen) -> String {
    let mut words = writer.wait_for("it refuses", Word::is_refusal);
    let Some(Word::Refused(error)) = words.pop() else { unreachable!("the last word was a refusal") };
    seen.take(words);
    error
}

/// That entries are answered again, and that after a kill everything is there.
fn goes_on(place: &Place, writer: Writer, mut seen: Seen) {
    let answers = writer.wait_for("it takes entries again", Word::is_answer);
    let words = answers.into_iter().chain(writer.kill());
    seen.take(words.filter(|word| !word.is_refusal()).collect());
    seen.assert_held(&*place.reader());
    drop(outside(|| place.store()));
    check(&*place.reader(), |_, _| ()).unwrap();
}

fn failing_sync(directory: &Path) -> PathBuf {
    let (source, library) = (directory.join("failing.c"), directory.join("failing.so"));
    let code = r#"
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <errno.h>
        #include <stdlib.h>
        #include <unistd.h>
        static int sync_or_fail(const char *name, int file) {
            const char *failing = getenv("SIGNET_TEST_FAILING_SYNC");
            if (failing && access(failing, F_OK) == 0) { errno = EIO; return -1; }
            int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
            return real(file);
        }
        int fsync(int file) { return sync_or_fail("fsync", file); }
        int fdatasync(int file) { return sync_or_fail("fdatasync", file); }
    "#;
    std::fs::write(&source, code).unwrap();
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl");
    assert!(compile.status().unwrap().success());
    library
}
