//! The callbacks that SQLite calls, and nothing else: each turns its pointers into plain values and asks
//! [`State`]. All unsafe code of this room is here.
//!
//! What makes it sound:
//! - `sqlite3_vfs::pAppData` is a `Box<Arc<Mutex<State>>>` that lives until [`Registered`] is dropped, and is leaked
//!   if a connection outlives that.
//! - A [`File`] lies in memory that SQLite allocates with `szOsFile` bytes and alignment 8. `open` fills it before
//!   it sets `pMethods`; where it fails `pMethods` is null, and SQLite then calls nothing on it. `close` is called
//!   once and takes the `Arc` out.
//! - Buffers are valid for the lengths that SQLite gives with them, for the time of the call.
//! - Callbacks never unwind: a panic in an `extern "C"` function aborts.
#![allow(unsafe_code)]

use crate::lock::{Handle, Level, SLOTS};
use crate::state::State;
use rusqlite::ffi;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Owner = Arc<Mutex<State>>;

/// An open file as SQLite holds it; `base` comes first because SQLite only knows that.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    owner: ManuallyDrop<Owner>,
    handle: Handle,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(length),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved),
    xFileControl: Some(control),
    xSectorSize: Some(sector_bytes),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(map),
    xShmLock: Some(lock_slots),
    xShmBarrier: Some(barrier),
    xShmUnmap: Some(unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Longest path.
const PATH_BYTES_MAX: c_int = 512;

/// What SQLite's own VFS says of a Linux disk.
const SECTOR_BYTES: c_int = 4096;

/// Milliseconds of the Julian day at 1970-01-01.
const EPOCH_MS: i64 = 210_866_760_000_000;

/// A VFS that SQLite knows, until this is dropped.
pub(crate) struct Registered {
    name: CString,
    vfs: *mut ffi::sqlite3_vfs,
    owner: *mut Owner,
}

// SAFETY: the pointers are owned, what they point to is only changed here, and SQLite guards its list of VFSs with
// a mutex of its own.
unsafe impl Send for Registered {}
// SAFETY: as above; `&Registered` gives only the name.
unsafe impl Sync for Registered {}

impl Registered {
    pub fn new(state: &Owner) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("disk-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let name = CString::new(name).expect("no zero in it");
        let owner = Box::into_raw(Box::new(Arc::clone(state)));
        let vfs = Box::into_raw(Box::new(ffi::sqlite3_vfs {
            iVersion: 2,
            szOsFile: size_of::<File>() as c_int,
            mxPathname: PATH_BYTES_MAX,
            pNext: ptr::null_mut(),
            zName: name.as_ptr(),
            pAppData: owner.cast(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_path),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: None,
            xCurrentTimeInt64: Some(current_time_ms),
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        }));
        // SAFETY: the structure and what it points to live until `drop`, which unregisters it first. SQLite
        // initialises itself in this call.
        let code = unsafe { ffi::sqlite3_vfs_register(vfs, 0) };
        assert_eq!(code, ffi::SQLITE_OK, "SQLite takes any VFS");
        Self { name, vfs, owner }
    }

    pub fn name(&self) -> &str {
        self.name.to_str().expect("made of ASCII")
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // SAFETY: registered in `new`; from here on no connection can be opened with it.
        unsafe { ffi::sqlite3_vfs_unregister(self.vfs) };
        // SAFETY: `owner` came from a box in `new` and is freed nowhere else.
        let files = unsafe { Arc::strong_count(&*self.owner) };
        // One is ours, one the disk's; open files hold the others.
        if files > 2 {
            let name = std::mem::take(&mut self.name);
            std::mem::forget(name); // the connections that are left still point to all of it
            return;
        }
        // SAFETY: both came from boxes in `new`; no file is open and the VFS is not registered, so nothing
        // points to them any more.
        unsafe {
            drop(Box::from_raw(self.vfs));
            drop(Box::from_raw(self.owner));
        }
    }
}

/// The disk of a VFS.
///
/// # Safety
/// `vfs` is one that [`Registered::new`] made.
unsafe fn disk<'a>(vfs: *mut ffi::sqlite3_vfs) -> MutexGuard<'a, State> {
    // SAFETY: see the module: `pAppData` lives as long as SQLite may call with this VFS.
    let owner = unsafe { &*(*vfs).pAppData.cast::<Owner>() };
    owner.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The disk of an open file, and its handle there.
///
/// # Safety
/// `file` was filled by [`open`] and is not closed.
unsafe fn opened<'a>(file: *mut ffi::sqlite3_file) -> (MutexGuard<'a, State>, Handle) {
    // SAFETY: `open` put a `File` there, and SQLite does not move it.
    let file = unsafe { &*file.cast::<File>() };
    (file.owner.lock().unwrap_or_else(PoisonError::into_inner), file.handle)
}

/// A name that SQLite gives; none for a temporary file.
///
/// # Safety
/// `name` is null or ends with a zero and lives for the call.
unsafe fn text<'a>(name: *const c_char) -> Option<&'a str> {
    if name.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(name) }.to_str().ok()
}

fn code(result: Result<(), c_int>) -> c_int {
    result.err().unwrap_or(ffi::SQLITE_OK)
}

fn at(offset: i64) -> usize {
    usize::try_from(offset).unwrap_or(0)
}

fn level(number: c_int) -> Level {
    match number {
        ffi::SQLITE_LOCK_NONE => Level::None,
        ffi::SQLITE_LOCK_SHARED => Level::Shared,
        ffi::SQLITE_LOCK_RESERVED => Level::Reserved,
        ffi::SQLITE_LOCK_PENDING => Level::Pending,
        _ => Level::Exclusive,
    }
}

// SAFETY of everything below: SQLite calls each with the pointers that its documentation of `sqlite3_vfs` and
// `sqlite3_io_methods` promises; the module says what else is relied on.

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    // SAFETY: as above.
    unsafe {
        (*file).pMethods = ptr::null();
        let owner = (*(*vfs).pAppData.cast::<Owner>()).clone();
        match disk(vfs).open(text(name), flags) {
            Err(error) => error,
            Ok(handle) => {
                let base = ffi::sqlite3_file { pMethods: &raw const METHODS };
                let owner = ManuallyDrop::new(owner);
                file.cast::<File>().write(File { base, owner, handle });
                if !flags_out.is_null() {
                    *flags_out = flags;
                }
                ffi::SQLITE_OK
            }
        }
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: as above; called once, so the `Arc` is taken out once.
    unsafe {
        let (mut disk, handle) = opened(file);
        disk.close(handle);
        drop(disk);
        ManuallyDrop::drop(&mut (*file.cast::<File>()).owner);
        (*file).pMethods = ptr::null();
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync_directory: c_int,
) -> c_int {
    // SAFETY: as above.
    let (mut disk, name) = unsafe { (disk(vfs), text(name)) };
    code(disk.delete(name.unwrap_or_default(), sync_directory != 0))
}

unsafe extern "C" fn access(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    _what: c_int,
    found: *mut c_int,
) -> c_int {
    // SAFETY: as above.
    unsafe {
        match disk(vfs).exists(text(name).unwrap_or_default()) {
            Ok(exists) => {
                *found = c_int::from(exists);
                ffi::SQLITE_OK
            }
            Err(error) => error,
        }
    }
}

unsafe extern "C" fn full_path(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    length: c_int,
    to: *mut c_char,
) -> c_int {
    // SAFETY: as above; `to` has room for `length` bytes.
    unsafe {
        let bytes = CStr::from_ptr(name).to_bytes_with_nul();
        if bytes.len() > at(length.into()) {
            return ffi::SQLITE_CANTOPEN;
        }
        ptr::copy_nonoverlapping(bytes.as_ptr().cast(), to, bytes.len());
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn randomness(
    vfs: *mut ffi::sqlite3_vfs,
    length: c_int,
    to: *mut c_char,
) -> c_int {
    // SAFETY: as above; `to` has room for `length` bytes.
    let (mut disk, bytes) =
        unsafe { (disk(vfs), std::slice::from_raw_parts_mut(to.cast(), at(length.into()))) };
    disk.random.fill(bytes);
    length
}

/// Nobody waits: the simulated time goes on.
unsafe extern "C" fn sleep(vfs: *mut ffi::sqlite3_vfs, micros: c_int) -> c_int {
    // SAFETY: as above.
    unsafe { disk(vfs) }.clock += at(micros.into()) as u64;
    micros
}

unsafe extern "C" fn current_time(vfs: *mut ffi::sqlite3_vfs, days: *mut f64) -> c_int {
    let mut ms = 0;
    // SAFETY: as above.
    unsafe {
        current_time_ms(vfs, &raw mut ms);
        *days = ms as f64 / 86_400_000.0;
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn current_time_ms(vfs: *mut ffi::sqlite3_vfs, ms: *mut i64) -> c_int {
    // SAFETY: as above.
    unsafe { *ms = EPOCH_MS + (disk(vfs).clock / 1000).cast_signed() };
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    to: *mut c_void,
    length: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: as above; `to` has room for `length` bytes.
    let ((mut disk, handle), to) =
        unsafe { (opened(file), std::slice::from_raw_parts_mut(to.cast(), at(length.into()))) };
    match disk.read(handle, at(offset), to) {
        Ok(true) => ffi::SQLITE_OK,
        Ok(false) => ffi::SQLITE_IOERR_SHORT_READ,
        Err(error) => error,
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    length: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: as above; `from` has `length` bytes.
    let ((mut disk, handle), from) =
        unsafe { (opened(file), std::slice::from_raw_parts(from.cast(), at(length.into()))) };
    code(disk.write(handle, at(offset), from))
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: as above.
    let (mut disk, handle) = unsafe { opened(file) };
    code(disk.truncate(handle, at(size)))
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: as above.
    let (mut disk, handle) = unsafe { opened(file) };
    code(disk.sync(handle))
}

unsafe extern "C" fn length(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    // SAFETY: as above.
    unsafe {
        let (mut disk, handle) = opened(file);
        match disk.length(handle) {
            Ok(length) => {
                *size = (length as u64).cast_signed();
                ffi::SQLITE_OK
            }
            Err(error) => error,
        }
    }
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, wanted: c_int) -> c_int {
    // SAFETY: as above.
    let (mut disk, handle) = unsafe { opened(file) };
    code(disk.lock(handle, level(wanted)))
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, to: c_int) -> c_int {
    // SAFETY: as above.
    let (mut disk, handle) = unsafe { opened(file) };
    code(disk.unlock(handle, level(to)))
}

unsafe extern "C" fn check_reserved(file: *mut ffi::sqlite3_file, found: *mut c_int) -> c_int {
    // SAFETY: as above.
    unsafe {
        let (mut disk, handle) = opened(file);
        match disk.is_reserved(handle) {
            Ok(reserved) => {
                *found = c_int::from(reserved);
                ffi::SQLITE_OK
            }
            Err(error) => error,
        }
    }
}

unsafe extern "C" fn control(
    _file: *mut ffi::sqlite3_file,
    _operation: c_int,
    _argument: *mut c_void,
) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_bytes(_file: *mut ffi::sqlite3_file) -> c_int {
    SECTOR_BYTES
}

/// As on Linux: a write harms no bytes beside its own.
unsafe extern "C" fn characteristics(_file: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn map(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    bytes: c_int,
    extend: c_int,
    to: *mut *mut c_void,
) -> c_int {
    // SAFETY: as above. The memory lives until the handle is unmapped or closed: see `State::map`.
    unsafe {
        let (mut disk, handle) = opened(file);
        match disk.map(handle, at(region.into()), at(bytes.into()), extend != 0) {
            Ok(memory) => {
                *to = memory;
                ffi::SQLITE_OK
            }
            Err(error) => {
                *to = ptr::null_mut();
                error
            }
        }
    }
}

unsafe extern "C" fn lock_slots(
    file: *mut ffi::sqlite3_file,
    first: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: as above.
    let (mut disk, handle) = unsafe { opened(file) };
    let first = at(first.into()).min(SLOTS);
    let slots = first..(first + at(count.into())).min(SLOTS);
    let wanted = match flags {
        _ if flags & ffi::SQLITE_SHM_UNLOCK != 0 => Level::None,
        _ if flags & ffi::SQLITE_SHM_EXCLUSIVE != 0 => Level::Exclusive,
        _ => Level::Shared,
    };
    code(disk.lock_slots(handle, slots, wanted))
}

unsafe extern "C" fn barrier(_file: *mut ffi::sqlite3_file) {
    std::sync::atomic::fence(Ordering::SeqCst);
}

unsafe extern "C" fn unmap(file: *mut ffi::sqlite3_file, _delete: c_int) -> c_int {
    // SAFETY: as above.
    let (mut disk, handle) = unsafe { opened(file) };
    disk.unmap(handle);
    ffi::SQLITE_OK
}
