//! What all pages have in common, and how they become answers.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};

use super::assets::AssetPaths;
use super::session::Viewer;
use crate::http::problem::Problem;

/// The frame around a page.
#[derive(Debug, Clone)]
pub struct Frame {
    pub title: String,
    pub section: Section,
    /// Who looks; none before somebody has logged in.
    pub who: Option<Who>,
    /// What stands in the search box.
    pub query: String,
    pub assets: AssetPaths,
}

/// The person, as the pages greet them.
#[derive(Debug, Clone)]
pub struct Who {
    pub name: String,
    /// Stands in every form that changes something.
    pub csrf: String,
}

/// Where in the navigation a page belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    Overview,
    Search,
    Signatures,
    Keys,
    Refusals,
    Elsewhere,
}

impl Frame {
    pub fn new(title: impl Into<String>, section: Section, viewer: Option<&Viewer>) -> Self {
        Self {
            title: title.into(),
            section,
            who: viewer.map(Viewer::who),
            query: String::new(),
            assets: AssetPaths::get(),
        }
    }

    /// The same with what was searched for.
    #[must_use]
    pub fn with_query(mut self, query: &str) -> Self {
        query.clone_into(&mut self.query);
        self
    }

    /// For `aria-current`.
    pub fn is(&self, section: Section) -> bool {
        self.section == section
    }
}

/// The page as an answer.
///
/// # Errors
/// Where it can not be written, which is a mistake of ours.
pub fn html(page: &impl Template) -> Result<Response, Problem> {
    html_with(StatusCode::OK, page)
}

/// As [`html`], with another status.
pub fn html_with(status: StatusCode, page: &impl Template) -> Result<Response, Problem> {
    let text = page.render().map_err(|error| {
        tracing::error!(%error, "a page could not be written");
        Problem::internal()
    })?;
    Ok((status, [(CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response())
}
