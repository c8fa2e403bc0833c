use super::*;
use crate::spec::StorePath;

/// The relevant parts of Nix's database: IDs assigned by SQLite, foreign keys, a table of
/// migrations, an index, a trigger, a write-ahead log.
const SCHEMA: &str = "
    pragma journal_mode = wal;
    create table ValidPaths (id integer primary key autoincrement not null,
        path text unique not null, hash text not null, registrationTime integer not null,
        deriver text, narSize integer, ultimate integer, sigs text, ca text);
    create table Refs (referrer integer not null, reference integer not null,
        primary key (referrer, reference),
        foreign key (referrer) references ValidPaths(id),
        foreign key (reference) references ValidPaths(id));
    create index IndexReference on Refs(reference);
    create trigger NoSelf before delete on ValidPaths begin
        delete from Refs where referrer = old.id; end;
    create table SchemaMigrations (migration text primary key not null);
    insert into SchemaMigrations values ('20990101-later'), ('20220326-ca-derivations');
";

const HASH: [u8; 32] = [0x5a; 32];

fn path(letter: &str) -> StorePath {
    StorePath::new(&format!("/nix/store/{}-x", letter.repeat(32)), "/nix/store").unwrap()
}

/// Three paths: a; b, which refers to a and itself; c, which is content-addressed and refers to b.
fn closure() -> Vec<PathInfo> {
    let info = |letter: &str, references: &[&str], ca: Option<&str>| PathInfo {
        path: path(letter),
        nar_hash: HASH,
        nar_size: 120,
        references: references.iter().map(|letter| path(letter)).collect(),
        content_address: ca.map(str::to_owned),
    };
    vec![
        info("a", &[], None),
        info("b", &["a", "b"], None),
        info("c", &["b"], Some("fixed:r:sha256:1")),
    ]
}

/// Creates a database with the rows of `closure` in the given order.
fn database(directory: &Path, order: &[usize], time: i64) -> PathBuf {
    let file = directory.join("db.sqlite");
    let database = Connection::open(&file).unwrap();
    database.execute_batch(SCHEMA).unwrap();
    // A deleted row leaves its bytes in the page.
    database
        .execute_batch(&format!(
            "insert into ValidPaths(path, hash, registrationTime) values ('leftover {time}', '', 1);
             delete from ValidPaths;"
        ))
        .unwrap();
    let closure = closure();
    for &at in order {
        let info = &closure[at];
        database
            .execute(
                "insert into ValidPaths(path, hash, registrationTime, deriver, narSize)
                 values (?, ?, ?, ?, ?)",
                (
                    info.path.as_str(),
                    format!("sha256:{}", HEXLOWER.encode(&HASH)),
                    time,
                    format!("/nix/store/{time}.drv"),
                    120,
                ),
            )
            .unwrap();
    }
    for &at in order {
        for reference in &closure[at].references {
            database
                .execute(
                    "insert into Refs select a.id, b.id from ValidPaths a, ValidPaths b
                     where a.path = ? and b.path = ?",
                    (closure[at].path.as_str(), reference.as_str()),
                )
                .unwrap();
        }
    }
    file
}

fn rewritten(order: &[usize], time: i64) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let file = database(directory.path(), order, time);
    rewrite(&file, &closure(), 1).unwrap();
    assert_eq!(clean::names(directory.path()).unwrap(), ["db.sqlite"]);
    fs::read(file).unwrap()
}

#[test]
fn bytes_do_not_depend_on_the_order_or_time_of_registration() {
    let one = rewritten(&[0, 1, 2], 1_700_000_000);
    let other = rewritten(&[2, 0, 1], 1_800_000_000);
    assert!(one == other);
    let has = |text: &str| one.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(!has("leftover") && !has(".drv"));
}

#[test]
fn rows_match_the_closure() {
    let directory = tempfile::tempdir().unwrap();
    let file = database(directory.path(), &[2, 1, 0], 1_700_000_000);
    rewrite(&file, &closure(), 7).unwrap();
    let database = Connection::open(file).unwrap();
    let query = |sql| strings(&database, sql).unwrap();
    assert_eq!(
        query(
            "select id || substr(path, 12, 1) || registrationTime || ifnull(deriver, '-') \
             || narSize || ifnull(ca, '-') from ValidPaths order by rowid"
        ),
        ["1a7-120-", "2b7-120-", "3c7-120fixed:r:sha256:1"]
    );
    assert_eq!(
        query("select referrer || '>' || reference from Refs order by rowid"),
        ["2>1", "2>2", "3>2"]
    );
    assert_eq!(
        query("select migration from SchemaMigrations order by rowid"),
        ["20220326-ca-derivations", "20990101-later"]
    );
    assert_eq!(
        query("select name from sqlite_master where type in ('index', 'trigger') and sql not null"),
        ["IndexReference", "NoSelf"]
    );
    assert_eq!(
        query("select name || seq from sqlite_sequence"),
        ["ValidPaths3"]
    );
    assert_eq!(query("pragma integrity_check"), ["ok"]);
    assert_eq!(query("pragma journal_mode"), ["delete"]);
}

#[test]
fn one_changed_reference_changes_the_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let file = database(directory.path(), &[0, 1, 2], 1);
    Connection::open(&file)
        .unwrap()
        .execute("delete from Refs where referrer = reference", ())
        .unwrap();
    rewrite(&file, &closure(), 1).unwrap();
    assert!(fs::read(file).unwrap() != rewritten(&[0, 1, 2], 1));
}

#[test]
fn rejects_a_database_that_does_not_match_the_closure() {
    let (a, c) = (path("a"), path("c"));
    for (damage, message) in [
        (
            format!("delete from Refs; delete from ValidPaths where path = '{c}'"),
            "2 paths are registered, but the closure has 3".to_owned(),
        ),
        (
            "update ValidPaths set path = '/nix/store/evil' || char(27) where id = 2".to_owned(),
            "/nix/store/evil\\u{1b} is registered but not in the closure; add it to \
             additionalPaths"
                .to_owned(),
        ),
        (
            format!("update ValidPaths set narSize = 121 where path = '{a}'"),
            format!("{a} is registered with a hash or size that differs from the closure's"),
        ),
        (
            format!("update ValidPaths set hash = 'sha256:00' where path = '{a}'"),
            format!("{a} is registered with a hash or size that differs from the closure's"),
        ),
        (
            "alter table ValidPaths rename column deriver to maker".to_owned(),
            "Nix's table ValidPaths has no column deriver: unsupported version of Nix".to_owned(),
        ),
        (
            "insert into Refs values (2, 99)".to_owned(),
            "table Refs, column reference: a row has an unsupported reference to ValidPaths; \
             please report this with your version of Nix"
                .to_owned(),
        ),
        (
            "drop table Refs; drop table ValidPaths".to_owned(),
            "no table ValidPaths: unsupported version of Nix".to_owned(),
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let file = database(directory.path(), &[0, 1, 2], 1);
        let connection = Connection::open(&file).unwrap();
        connection
            .execute_batch(&format!("pragma foreign_keys = off; {damage}"))
            .unwrap();
        drop(connection);
        let error = rewrite(&file, &closure(), 1).unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            format!(
                "making the database {} reproducible: {message}",
                file.display()
            )
        );
    }
}

#[test]
fn the_message_names_a_missing_database() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("db.sqlite");
    assert_eq!(
        rewrite(&file, &closure(), 1).unwrap_err().to_string(),
        format!(
            "nix-store --load-db did not create {}, but exited with status 0",
            file.display()
        )
    );
}

/// The bytes of every image depend on the built-in SQLite, so its version must be changed
/// deliberately.
#[test]
fn the_version_of_sqlite_is_pinned() {
    assert_eq!(rusqlite::version(), "3.54.1");
}
