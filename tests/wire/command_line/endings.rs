//! Exit codes, what goes where, and what is never shown.

use std::time::Duration;

use super::Signet;
use crate::support::receiver::Away;
use crate::support::{Fault, Proxy, World};

#[tokio::test]
async fn a_refusal_is_1_and_says_what_to_do() {
    let world = World::start().await;
    let image = world.push_image().await;
    let nowhere = world.image(signet::domain::Digest::of(b"nowhere"));
    for (signet, arguments, code) in [
        (Signet::of(&world).with("SIGNET_TOKEN", &world.outsider), vec!["sign", &image], "forbidden"),
        (Signet::of(&world).with("SIGNET_TOKEN", "wrong"), vec!["sign", &image], "unauthenticated"),
        (Signet::of(&world), vec!["sign", "registry.example.com/app:1"], "digest-required"),
        (Signet::of(&world), vec!["sign", "--key", "other", &image], "key-not-found"),
        (Signet::of(&world), vec!["sign", &nowhere], "image-not-found"),
        (Signet::of(&world), vec!["verify", "--key", &world.key, &nowhere], "image-not-found"),
        (
            Signet::of(&world).with("SIGNET_TOKEN", &world.outsider),
            vec!["verify", "--key", &world.key, &image],
            "forbidden",
        ),
    ] {
        let ended = signet.run(&arguments).await;
        ended.assert(1);
        assert_eq!(ended.stdout, "", "{arguments:?}");
        assert!(ended.stderr.contains(&format!("({code}, request ")), "{arguments:?}: {ended:?}");
    }
}

#[tokio::test]
async fn wrong_usage_is_2_and_nobody_is_asked() {
    let world = World::start().await;
    let image = world.push_image().await;
    let proxy = Proxy::start(&world.signet.api).await;
    let signet = || Signet::of(&world).with("SIGNET_URL", proxy.url());
    let file = world.directory.path().join("token");
    std::fs::write(&file, "x").unwrap();
    let file = file.to_str().unwrap();
    for (signet, arguments) in [
        (signet().without("SIGNET_URL"), vec!["sign", &image]),
        (signet().without("SIGNET_TOKEN"), vec!["sign", &image]),
        (signet().with("SIGNET_TOKEN", ""), vec!["sign", &image]),
        (signet().with("SIGNET_TOKEN", "a b"), vec!["sign", &image]),
        (signet(), vec!["sign", "--token-file", file, &image]),
        (signet().without("SIGNET_TOKEN"), vec!["sign", "--token-file", "/nowhere/token", &image]),
        (signet(), vec!["sign"]),
        (signet(), vec!["sign", "--token", "x", &image]),
        (signet(), vec!["sign", "--format", "x", &image]),
        (signet(), vec!["sign", "-a", "x", &image]),
        (signet(), vec!["sign", "--timeout", "soon", &image]),
        (signet().with("SIGNET_URL", "signet.example.com"), vec!["sign", &image]),
        (signet().with("SIGNET_URL", "http://signet.example.com"), vec!["sign", &image]),
        (
            signet(),
            vec!["sign", "--ca-file", "/nowhere/ca.pem", "--url", "https://signet.example.com", &image],
        ),
        (signet(), vec!["verify", &image]),
        (signet(), vec!["attest", "--type", "custom", "--predicate", "/nowhere/predicate.json", &image]),
        (signet(), vec!["attest", "--type", "custom", "--predicate", "policy.yaml", &image]),
        (signet(), vec!["sign-blob", "/nowhere/file"]),
        (signet(), vec!["keys", "export", "--all", "--version", "1"]),
        (signet(), vec!["completions", "cobol"]),
    ] {
        let ended = signet.run(&arguments).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{arguments:?}: {ended:?}");
        assert!(!ended.stderr.is_empty(), "{arguments:?}");
    }
    assert!(proxy.calls().is_empty(), "{:?}", proxy.calls());
}

#[tokio::test]
async fn a_server_that_is_down_or_is_no_signet_is_3() {
    let world = World::start().await;
    let image = world.push_image().await;
    let nobody = Away::new();
    let down = format!("http://{}", nobody.address());
    let proxy = Proxy::start(&world.signet.api).await;
    proxy.break_with(|_| Some(Fault::Answer { status: 200, headers: vec![], body: "<html>".to_owned() }));
    for url in [down, proxy.url()] {
        for command in [vec!["sign", &image], vec!["verify", "--key", "k", &image], vec!["keys", "list"]] {
            let arguments = [command.as_slice(), &["--timeout", "1s", "--output", "json"]].concat();
            let ended = Signet::of(&world).with("SIGNET_URL", &url).run(&arguments).await;
            ended.assert(3);
            assert_eq!(ended.stdout, "", "{arguments:?}");
            assert!(ended.stderr.contains(&url), "{arguments:?}: {ended:?}");
        }
    }
}

#[tokio::test]
async fn the_token_is_in_no_argument_and_in_no_output() {
    let world = World::start().await;
    let image = world.push_image().await;
    let file = world.directory.path().join("caller-token");
    std::fs::write(&file, format!("{}\n", world.token)).unwrap();
    let signet =
        || Signet::of(&world).without("SIGNET_TOKEN").with("SIGNET_TOKEN_FILE", file.to_str().unwrap());
    let proxy = Proxy::start(&world.signet.api).await;
    proxy.break_with(|_| Some(Fault::Hang));
    let asking = tokio::spawn(signet().with("SIGNET_URL", proxy.url()).run_owned(vec![
        "sign".into(),
        "--timeout=3s".into(),
        image.clone(),
    ]));
    let arguments = world
        .eventually("it asks", async || (!proxy.calls().is_empty()).then(|| processes_that_say(&image)))
        .await;
    assert_eq!(arguments.len(), 1, "{arguments:?}");
    assert!(!arguments[0].contains(&world.token), "{arguments:?}");
    let asked = proxy.calls();
    let authorization = asked[0].headers["authorization"].to_str().unwrap();
    assert_eq!(authorization, format!("Bearer {}", world.token));

    let hung = asking.await.unwrap();
    let signed = signet().run(&["sign", "--output", "json", &image]).await;
    let refused = signet().run(&["sign", "--key", "other", &image]).await;
    for (ended, code) in [(hung, 3), (signed, 0), (refused, 1)] {
        ended.assert(code);
        assert!(!format!("{ended:?}").contains(&world.token), "{ended:?}");
    }
}

/// The command lines of all processes of this machine that name `text`.
fn processes_that_say(text: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(text)).collect()
}

#[tokio::test]
async fn help_has_examples_and_completions_name_every_command() {
    let world = World::start().await;
    for command in ["sign", "attest", "sign-blob", "verify", "keys list", "keys export", "completions"] {
        let arguments: Vec<_> = command.split(' ').chain(["--help"]).collect();
        let ended = Signet::of(&world).run(&arguments).await;
        assert!(ended.assert(0).stdout.contains("Examples:\n  signet "), "{command}: {}", ended.stdout);
        assert!(!ended.stdout.contains(&world.token), "help shows the token");
    }
    for shell in ["bash", "zsh", "fish"] {
        let ended = Signet::of(&world).run(&["completions", shell]).await;
        for command in ["sign-blob", "attest", "verify", "keys", "respond-async"] {
            assert!(ended.assert(0).stdout.contains(command), "{shell} {command}");
        }
    }
}

#[tokio::test]
async fn a_reader_that_has_read_enough_is_no_failure() {
    let world = World::start().await;
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_signet"))
        .args(["completions", "zsh"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended =
        tokio::time::timeout(Duration::from_secs(20), child.wait_with_output()).await.unwrap().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert!(ended.stderr.is_empty(), "{ended:?}");
    drop(world);
}
