//! Image references as callers write them: whatever is accepted has one canonical form, which means the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signet::domain::{ImageReference, Repository};

fuzz_target!(|text: &str| {
    if let Ok(image) = text.parse::<ImageReference>() {
        let canonical = image.to_string();
        assert_eq!(canonical.parse::<ImageReference>().as_ref(), Ok(&image), "{canonical}");
    }
    if let Ok(repository) = text.parse::<Repository>() {
        let canonical = repository.to_string();
        assert_eq!(canonical.parse::<Repository>().as_ref(), Ok(&repository), "{canonical}");
        assert!(
            !canonical.contains("..") && !canonical.contains("//") && !canonical.contains('%'),
            "{canonical}"
        );
        assert_eq!(canonical, canonical.to_lowercase());
    }
});
