//! Image references as callers write them: whatever is accepted has one canonical form, and every other way to write the
//! same gives just that.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signet::domain::{ImageReference, RegistryHost, Repository};

fuzz_target!(|text: &str| {
    if let Ok(image) = text.parse::<ImageReference>() {
        let canonical = image.to_string();
        assert_eq!(canonical.parse::<ImageReference>().as_ref(), Ok(&image), "{canonical}");
        let with_a_tag = format!("{}:tag@{}", image.repository, image.digest);
        assert_eq!(with_a_tag.parse::<ImageReference>().as_ref(), Ok(&image), "{with_a_tag}");
    }
    if let Ok(repository) = text.parse::<Repository>() {
        is_canonical(&repository);
        others_are_the_same(&repository);
    }
    if let Ok(host) = text.parse::<RegistryHost>() {
        assert_eq!(host.to_string().parse::<RegistryHost>().as_ref(), Ok(&host));
    }
});

fn is_canonical(repository: &Repository) {
    let canonical = repository.to_string();
    assert_eq!(canonical.parse::<Repository>().as_ref(), Ok(repository), "{canonical}");
    assert!(!canonical.contains("..") && !canonical.contains("//") && !canonical.contains('%'), "{canonical}");
    assert!(canonical.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase()), "{canonical}");
    let (host, path) = (repository.host(), repository.path());
    assert!(!host.ends_with('.') && !host.contains('['), "{canonical}");
    let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    assert!(port.is_none_or(|port| port.parse::<u16>().is_ok_and(|number| number.to_string() == port)), "{canonical}");
    assert!(port != Some("443") || !RegistryHost::stands_alone(name), "{canonical}");
    assert!(!["index.docker.io", "registry-1.docker.io"].contains(&host), "{canonical}");
    assert!(host != "docker.io" || path.contains('/'), "{canonical}");
    // URLs are made of it: nobody may read another host or path there.
    let url = url::Url::parse(&format!("https://{canonical}/")).unwrap();
    assert_eq!((url.host_str(), url.path()), (Some(name), format!("/{path}/").as_str()), "{canonical}");
}

fn others_are_the_same(repository: &Repository) {
    let (host, path) = (repository.host(), repository.path());
    let mut others = vec![format!("{}/{path}", host.to_uppercase()), format!("{repository}:tag")];
    if !host.contains(':') {
        others.push(format!("{host}:443/{path}"));
    }
    if host == "docker.io" {
        others.extend(["index.docker.io", "registry-1.docker.io"].map(|host| format!("{host}/{path}")));
        others.extend(path.strip_prefix("library/").filter(|name| !name.contains('/')).map(|name| format!("{host}/{name}")));
    }
    for other in others {
        // What is written may be longer than what may be written.
        let parsed = other.parse::<Repository>();
        assert!(parsed.as_ref() == Ok(repository) || other.len() > ImageReference::MAX_LENGTH, "{other}: {parsed:?}");
    }
}
