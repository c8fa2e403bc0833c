//! Rewrites Nix's database so that its bytes depend only on the closure.
//!
//! The caller's Nix creates the database, so tables, indices and migrations are those of its
//! version. Not reproducible are the registration times, the order of rows, and the unused parts of
//! SQLite's pages. A new file with the same schema and sorted rows avoids all of this. The SQLite
//! that writes it is built into this program; its version number is in the file's header
//! (<https://www.sqlite.org/fileformat2.html>, offset 96).

use std::cmp::Ordering;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use data_encoding::HEXLOWER;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::spec::PathInfo;
use crate::{escape, leftover};

use super::clean;

/// The name of the file in [`super::DATABASE`].
pub(super) const FILE: &str = "db.sqlite";
/// The program that creates it, for messages.
pub(super) const CREATOR: &str = "nix-store --load-db";

/// The size of SQLite's cache, in KiB if negative: room for the database of a large closure.
const CACHE: i64 = -16_384;

/// The table of paths. Other tables refer to its `id`.
const PATHS: &str = "ValidPaths";

/// Replaces the database at `path` with one that contains exactly the paths of `closure`, sorted by
/// name and registered at `time` (seconds since 1970).
///
/// # Errors
/// If the database does not match `closure`, or has an unsupported schema.
pub(super) fn rewrite(path: &Path, closure: &[PathInfo], time: i64) -> Result<()> {
    let with_suffix = |suffix: &str| {
        let mut name = OsString::from(path);
        name.push(suffix);
        PathBuf::from(name)
    };
    let new = with_suffix(".new");
    leftover::open(path, CREATOR)?;
    copy(path, &new, closure, time)
        .with_context(|| format!("making the database {} reproducible", escape::path(path)))?;
    for suffix in ["-wal", "-shm", "-journal", ""] {
        clean::remove(&with_suffix(suffix))?;
    }
    fs::set_permissions(&new, Permissions::from_mode(0o644))
        .and_then(|()| fs::rename(&new, path))
        .with_context(|| format!("replacing {}", escape::path(path)))
}

fn copy(from: &Path, to: &Path, closure: &[PathInfo], time: i64) -> Result<()> {
    let old = Connection::open(from)?;
    let mut new = Connection::open(to)?;
    for pragma in ["page_size", "encoding", "user_version", "application_id"] {
        let value: Value = old.pragma_query_value(None, pragma, |row| row.get(0))?;
        new.pragma_update(None, pragma, value)?;
    }
    new.pragma_update(None, "foreign_keys", false)?;
    // The file is discarded on any failure, and nothing else uses it.
    new.pragma_update(None, "synchronous", "off")?;
    new.pragma_update_and_check(None, "journal_mode", "off", |_| Ok(()))?;
    new.pragma_update(None, "cache_size", CACHE)?;

    let transaction = new.transaction()?;
    create(&old, &transaction, "type = 'table'")?;
    let names = table_names(&old)?;
    ensure!(
        names.iter().any(|name| name == PATHS),
        "no table {PATHS}: unsupported version of Nix"
    );
    let paths = Table::read(&old, PATHS)?;
    let (paths, ids) = valid_paths(paths, closure, time)?;
    paths.write(&transaction)?;
    for name in names {
        if name != PATHS {
            renumbered(&old, Table::read(&old, &name)?, &ids)?.write(&transaction)?;
        }
    }
    // An index takes less time if the rows are there: they are sorted once. The order in which
    // indices are created among tables has no effect after `vacuum`.
    create(&old, &transaction, "type <> 'table'")?;
    transaction.commit()?;
    let broken: i64 =
        new.query_row("select count(*) from pragma_foreign_key_check", [], |row| {
            row.get(0)
        })?;
    ensure!(broken == 0, "{broken} rows refer to missing paths");
    new.execute_batch("vacuum")?;
    new.close().map_err(|(_, error)| error)?;
    Ok(())
}

/// Creates those tables, indices and triggers of `old` in `new` that meet `condition`, in order.
fn create(old: &Connection, new: &Connection, condition: &str) -> Result<()> {
    let statements = strings(
        old,
        &format!(
            "select sql from sqlite_master where sql not null and name not like 'sqlite\\_%' \
             escape '\\' and {condition} order by rowid"
        ),
    )?;
    for statement in statements {
        new.execute_batch(&statement)?;
    }
    Ok(())
}

fn table_names(database: &Connection) -> Result<Vec<String>> {
    strings(
        database,
        "select name from sqlite_master where type = 'table' and name not like 'sqlite\\_%' \
         escape '\\' order by name",
    )
}

fn strings(database: &Connection, query: &str) -> Result<Vec<String>> {
    let mut statement = database.prepare(query)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

type Row = Vec<Value>;

/// A table with all its rows.
struct Table {
    name: String,
    columns: Vec<String>,
    rows: Vec<Row>,
}

impl Table {
    fn read(database: &Connection, name: &str) -> Result<Table> {
        let mut statement = database.prepare(&format!("select * from {}", quoted(name)))?;
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let count = columns.len();
        let rows = statement
            .query_map([], |row| (0..count).map(|at| row.get(at)).collect())?
            .collect::<Result<_, _>>()?;
        Ok(Table {
            name: name.to_owned(),
            columns,
            rows,
        })
    }

    fn write(&self, database: &Connection) -> Result<()> {
        let columns: Vec<String> = self.columns.iter().map(|name| quoted(name)).collect();
        let mut statement = database.prepare(&format!(
            "insert into {} ({}) values ({})",
            quoted(&self.name),
            columns.join(", "),
            vec!["?"; columns.len()].join(", ")
        ))?;
        for row in &self.rows {
            statement.execute(params_from_iter(row))?;
        }
        Ok(())
    }

    fn column(&self, name: &str) -> Result<usize> {
        self.columns
            .iter()
            .position(|column| column == name)
            .with_context(|| {
                format!(
                    "Nix's table {} has no column {name}: unsupported version of Nix",
                    self.name
                )
            })
    }
}

/// Quotes a name for SQL.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Sorts the rows of `table` by path and numbers them from 1. Returns a map from old to new IDs, too.
fn valid_paths(
    mut table: Table,
    closure: &[PathInfo],
    time: i64,
) -> Result<(Table, HashMap<i64, i64>)> {
    let (id, path) = (table.column("id")?, table.column("path")?);
    let (hash, size) = (table.column("hash")?, table.column("narSize")?);
    let (registered, deriver) = (table.column("registrationTime")?, table.column("deriver")?);
    let content_address = table.column("ca")?;
    let known: HashMap<&str, &PathInfo> = closure
        .iter()
        .map(|info| (info.path.as_str(), info))
        .collect();

    let rows = &mut table.rows;
    rows.sort_by(|a, b| compare(&a[path], &b[path]));
    let mut ids = HashMap::new();
    for (number, row) in (1..).zip(rows.iter_mut()) {
        let (Value::Text(name), Value::Integer(old)) = (&row[path], &row[id]) else {
            bail!("a row of {PATHS} has no path or no ID");
        };
        let Some(info) = known.get(name.as_str()) else {
            bail!(
                "{} is registered but not in the closure; add it to additionalPaths",
                escape::bytes(name.as_bytes())
            );
        };
        let expected_hash = Value::Text(format!("sha256:{}", HEXLOWER.encode(&info.nar_hash)));
        let expected_size = i64::try_from(info.nar_size)
            .with_context(|| format!("the NAR of {name} has {} bytes", info.nar_size))?;
        ensure!(
            row[hash] == expected_hash && row[size] == Value::Integer(expected_size),
            "{} is registered with a hash or size that differs from the closure's",
            escape::bytes(name.as_bytes())
        );
        ids.insert(*old, number);
        row[id] = Value::Integer(number);
        row[registered] = Value::Integer(time);
        // The closure does not name the deriver of a path, and the derivation is rarely in the
        // image.
        row[deriver] = Value::Null;
        row[content_address] = info
            .content_address
            .clone()
            .map_or(Value::Null, Value::Text);
    }
    ensure!(
        rows.len() == known.len(),
        "{} paths are registered, but the closure has {}",
        rows.len(),
        known.len()
    );
    Ok((table, ids))
}

/// Sorts the rows of another table, after replacing the IDs of the paths they refer to.
fn renumbered(database: &Connection, mut table: Table, ids: &HashMap<i64, i64>) -> Result<Table> {
    let mut statement =
        database.prepare(&format!("pragma foreign_key_list({})", quoted(&table.name)))?;
    let keys: Vec<(String, String)> = statement
        .query_map([], |row| Ok((row.get("table")?, row.get("from")?)))?
        .collect::<Result<_, _>>()?;
    for (target, column) in keys {
        let at = table.column(&column)?;
        for row in &mut table.rows {
            let number = match &row[at] {
                Value::Null => continue,
                Value::Integer(old) if target == PATHS => ids.get(old),
                _ => None,
            };
            let Some(number) = number else {
                bail!(
                    "table {}, column {column}: a row has an unsupported reference to {target}; \
                     please report this with your version of Nix",
                    table.name
                );
            };
            row[at] = Value::Integer(*number);
        }
    }
    table.rows.sort_by(|a, b| {
        let differences = a.iter().zip(b).map(|(a, b)| compare(a, b));
        differences
            .into_iter()
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    });
    Ok(table)
}

/// Compares values in SQLite's order: NULL, numbers, text, blobs.
fn compare(a: &Value, b: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null => 0,
        Value::Integer(_) => 1,
        Value::Real(_) => 2,
        Value::Text(_) => 3,
        Value::Blob(_) => 4,
    };
    match (a, b) {
        (Value::Integer(a), Value::Integer(b)) => a.cmp(b),
        (Value::Real(a), Value::Real(b)) => a.total_cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Blob(a), Value::Blob(b)) => a.cmp(b),
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

#[cfg(test)]
mod tests;
