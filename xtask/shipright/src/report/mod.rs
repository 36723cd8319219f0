//! What people and programs are shown. For people everything goes to standard error; standard output carries one JSON
//! document, or what was asked for by name.

pub mod document;
pub mod export;
pub mod name;
pub mod page;
pub mod plan;
pub mod prune;
pub mod result;
pub mod sarif;
pub mod scan;
pub mod size;
pub mod summary;
pub mod table;
pub mod terminal;
