//! Everything durable over its stores: what they promise of durability, order, questions and deliveries.

mod checkpoints;
mod damage;
mod database;
mod deliveries;
mod disk;
mod fixtures;
mod group_commit;
mod idempotency;
mod key_archive;
mod migration;
mod on_postgres;
mod origin;
mod pages;
mod questions;
mod quotas;
mod records;
mod retention;
mod schema;
mod search;
mod search_file;
mod sessions;
mod storm;
mod tree;
mod writer;

#[path = "../support/mod.rs"]
mod support;
