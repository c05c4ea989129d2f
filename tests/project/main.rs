//! Tests of the project itself: that its source keeps its directions, and that its papers, examples and
//! packaging speak of what is there. They need no servers.

mod command_line;
mod compose;
mod directions;
mod dockerfile;
mod examples;
mod papers;
mod problem_codes;
mod recipes;
mod repository;
mod settings;
