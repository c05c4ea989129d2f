//! What pages load: a style sheet, a script that no page needs, and a picture. All of it is in the binary.

use std::sync::LazyLock;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};

use crate::domain::Digest;
use crate::http::path::Path;
use crate::http::problem::Problem;

/// A file with a name that changes with its content, so that browsers may keep it for ever.
struct Asset {
    name: String,
    media_type: &'static str,
    content: &'static [u8],
}

static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("audit", "css", "text/css; charset=utf-8", include_bytes!("assets/audit.css"))
});
static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("audit", "js", "text/javascript; charset=utf-8", include_bytes!("assets/audit.js"))
});
static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("signet", "svg", "image/svg+xml", include_bytes!("assets/signet.svg")));

impl Asset {
    fn new(stem: &str, ending: &str, media_type: &'static str, content: &'static [u8]) -> Self {
        let digest = Digest::of(content).hex();
        Self { name: format!("{stem}.{}.{ending}", &digest[..12]), media_type, content }
    }

    fn path(&self) -> String {
        format!("/audit/assets/{}", self.name)
    }
}

/// The paths that every page names.
#[derive(Debug, Clone)]
pub struct AssetPaths {
    pub style: String,
    pub script: String,
    pub icon: String,
}

impl AssetPaths {
    pub fn get() -> Self {
        Self { style: STYLE.path(), script: SCRIPT.path(), icon: ICON.path() }
    }
}

pub async fn file(Path(name): Path<String>) -> Result<Response, Problem> {
    let asset = [&STYLE, &SCRIPT, &ICON].into_iter().find(|asset| asset.name == name);
    let asset = asset.ok_or_else(|| Problem::not_found("There is no such file."))?;
    let headers = [(CONTENT_TYPE, asset.media_type), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
    Ok((headers, asset.content).into_response())
}
