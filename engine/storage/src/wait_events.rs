//! Wait events of this layer, as `pg_wait_events` names them.

use kokkiri_primitives::activity::WaitEvent;

macro_rules! wait_events {
    ($($name:ident = $kind:literal, $event:literal;)+) => {
        $(pub static $name: WaitEvent = WaitEvent::new($kind, $event);)+
    };
}

wait_events! {
    BUFFER_PIN = "BufferPin", "BufferPin";
    BUFFER_CONTENT = "LWLock", "BufferContent";
    BUFFER_IO = "IPC", "BufferIo";
    RELATION_EXTEND = "Lock", "extend";
    DATA_FILE_EXTEND = "IO", "DataFileExtend";
    DATA_FILE_FLUSH = "IO", "DataFileFlush";
    DATA_FILE_IMMEDIATE_SYNC = "IO", "DataFileImmediateSync";
    DATA_FILE_PREFETCH = "IO", "DataFilePrefetch";
    DATA_FILE_READ = "IO", "DataFileRead";
    DATA_FILE_SYNC = "IO", "DataFileSync";
    DATA_FILE_TRUNCATE = "IO", "DataFileTruncate";
    DATA_FILE_WRITE = "IO", "DataFileWrite";
}
