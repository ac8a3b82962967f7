//! A data directory's life through the facade: made, started, connected to, crashed, stopped.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kokkiri_engine::settings::ServerSettings;
use kokkiri_engine::{ConnectRequest, Engine, InitialiseOptions, StopMode};

/// A new cluster.
fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("kokkiri-engine-{name}-{}", std::process::id()));
    let _leftover = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("the temporary directory is writable");
    let options = InitialiseOptions {
        superuser: "postgres",
        superuser_password: None,
        data_checksums: true,
        authentication_nonce: [7; 32],
    };
    Engine::initialise(&path, &options).expect("the disk works");
    path
}

fn start(path: &Path) -> Arc<Engine> {
    let engine = Engine::new(path.to_owned(), ServerSettings::new(), Arc::new(kokkiri_engine::NoPasswords));
    engine.start().expect("the cluster can be started");
    engine
}

fn request(user: &str, database: &str) -> ConnectRequest {
    ConnectRequest { user: user.into(), database: database.into(), ..ConnectRequest::default() }
}

#[test]
fn clients_are_let_in_or_told_why_not() {
    let path = directory("admission");
    let engine = start(&path);
    let connect = |user: &str, database: &str| {
        let slot = engine.reserve_backend().expect("there is room");
        slot.connect(request(user, database)).map(drop).map_err(|error| error.message().to_owned())
    };
    assert_eq!(connect("postgres", "postgres"), Ok(()));
    assert_eq!(connect("nobody", "postgres"), Err("role \"nobody\" does not exist".into()));
    assert_eq!(
        connect("pg_monitor", "postgres"),
        Err("role \"pg_monitor\" is not permitted to log in".into())
    );
    assert_eq!(connect("postgres", "nothing"), Err("database \"nothing\" does not exist".into()));
    let refused = "database \"template0\" is not currently accepting connections";
    assert_eq!(connect("postgres", "template0"), Err(refused.into()));
    let slot = engine.reserve_backend().expect("there is room");
    let credentials = slot.credentials("postgres").expect("readable").expect("there is such a role");
    assert_eq!((credentials.password, credentials.member_of), (None, vec!["postgres".to_owned()]));
    assert!(slot.credentials("nobody").expect("readable").is_none());
    drop(slot);
    engine.stop(StopMode::Fast).expect("the disk works");
    let error = engine.reserve_backend().err().expect("stopped");
    assert_eq!(error.message(), "the database system is shutting down");
    std::fs::remove_dir_all(&path).expect("ours");
}

#[test]
fn an_engine_survives_its_instance() {
    let path = directory("crash");
    let engine = start(&path);
    let slot = engine.reserve_backend().expect("there is room");
    let old = Arc::clone(slot.instance());
    let session = slot.connect(request("postgres", "postgres")).expect("let in");
    old.cluster.poison.trip("a test");
    let error = engine.reserve_backend().err().expect("recovering");
    assert_eq!(error.message(), "the database system is in recovery mode");
    drop(session);
    let mut tries = 0;
    let new = loop {
        match engine.instance() {
            Ok(new) => break new,
            Err(_) if tries < 1000 => tries += 1,
            Err(error) => panic!("{error}"),
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    };
    assert!(!Arc::ptr_eq(&old, &new) && !new.cluster.poison.is_poisoned());
    drop(old);
    let slot = engine.reserve_backend().expect("there is room");
    drop(slot.connect(request("postgres", "postgres")).expect("let in"));
    engine.stop(StopMode::Smart).expect("the disk works");
    start(&path).stop(StopMode::Fast).expect("the disk works");
    std::fs::remove_dir_all(&path).expect("ours");
}
