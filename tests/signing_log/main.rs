//! The signing log over its stores: what it promises of durability, order and questions.

mod database;
mod fixtures;
mod group_commit;
mod pages;
mod questions;
mod records;
