//! A thin, owned face on libbpf: objects, their programs and maps, and what libbpf prints.
//!
//! Only what [`crate::load`] and [`crate::run`] need; every unsafe call to libbpf's object interface stands here.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::Mutex;

use libbpf_sys as sys;

/// Bytes of libbpf's messages that are kept.
const MAX_MESSAGES: usize = 64 << 10;

/// What libbpf printed since the last [`take_messages`].
static MESSAGES: Mutex<String> = Mutex::new(String::new());

unsafe extern "C" {
    fn vsnprintf(buffer: *mut c_char, size: usize, format: *const c_char, arguments: *mut sys::__va_list_tag) -> c_int;
}

unsafe extern "C" fn print(
    level: sys::libbpf_print_level,
    format: *const c_char,
    arguments: *mut sys::__va_list_tag,
) -> c_int {
    if level != sys::LIBBPF_WARN {
        return 0;
    }
    let mut buffer = [0u8; 2048];
    // SAFETY: libbpf passes a format and its arguments; at most `buffer.len()` bytes are written, NUL included.
    unsafe { vsnprintf(buffer.as_mut_ptr().cast(), buffer.len(), format, arguments) };
    if let (Ok(text), Ok(mut messages)) = (CStr::from_bytes_until_nul(&buffer), MESSAGES.lock())
        && messages.len() < MAX_MESSAGES
    {
        messages.push_str(&text.to_string_lossy());
    }
    0
}

/// Collects libbpf's warnings from now on.
pub fn capture_messages() {
    // SAFETY: `print` has the signature that libbpf asks for and lives forever.
    unsafe { sys::libbpf_set_print(Some(print)) };
}

/// Takes what libbpf printed so far.
pub fn take_messages() -> String {
    MESSAGES.lock().map(|mut messages| std::mem::take(&mut *messages)).unwrap_or_default()
}

/// How many CPUs the kernel may ever have.
pub fn possible_cpus() -> u32 {
    // SAFETY: takes nothing, reads a file in /sys.
    let count = unsafe { sys::libbpf_num_possible_cpus() };
    u32::try_from(count).unwrap_or(1)
}

/// Copies a C string; empty when the pointer is null.
pub fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: libbpf's names are NUL-terminated and live as long as their object, which the callers hold.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

/// An object that libbpf has opened.
pub struct Object {
    raw: NonNull<sys::bpf_object>,
}

impl Object {
    /// Opens an object from memory. `Err` has the error number, positive.
    pub fn open(bytes: &[u8]) -> Result<Object, i32> {
        let name = c"object";
        let options = sys::bpf_object_open_opts {
            sz: size_of::<sys::bpf_object_open_opts>() as sys::size_t,
            object_name: name.as_ptr(),
            ..Default::default()
        };
        // SAFETY: the buffer and the options outlive the call; libbpf keeps no pointer to either after it has opened an
        // object, apart from the ELF image, which it drops when loading; callers keep `bytes` until then.
        let raw = unsafe {
            sys::bpf_object__open_mem(bytes.as_ptr().cast::<c_void>(), bytes.len() as sys::size_t, &raw const options)
        };
        NonNull::new(raw).map(|raw| Object { raw }).ok_or_else(last_errno)
    }

    /// The object's pointer, for calls that are made elsewhere.
    pub fn raw(&self) -> *mut sys::bpf_object {
        self.raw.as_ptr()
    }

    /// The entry programs, in the object's order.
    pub fn programs(&self) -> Vec<Program<'_>> {
        let mut programs = Vec::new();
        let mut current = ptr::null_mut();
        loop {
            // SAFETY: the object is open and `current` is one of its programs or null.
            current = unsafe { sys::bpf_object__next_program(self.raw(), current) };
            match NonNull::new(current) {
                Some(raw) => programs.push(Program { raw, object: PhantomData }),
                None => return programs,
            }
        }
    }

    /// The maps, in the object's order.
    pub fn maps(&self) -> Vec<Map<'_>> {
        let mut maps = Vec::new();
        let mut current = ptr::null_mut();
        loop {
            // SAFETY: the object is open and `current` is one of its maps or null.
            current = unsafe { sys::bpf_object__next_map(self.raw(), current) };
            match NonNull::new(current) {
                Some(raw) => maps.push(Map { raw, object: PhantomData }),
                None => return maps,
            }
        }
    }

    /// Makes the object loadable outside its own loader, as veristat does; says what was changed.
    pub fn adjust(&self) -> Vec<String> {
        let mut adjusted = Vec::new();
        for map in self.maps() {
            // SAFETY: the map belongs to this open object; a null path means no pinning.
            unsafe { sys::bpf_map__set_pin_path(map.raw(), ptr::null()) };
            // SAFETY: as above.
            let (kind, entries) = unsafe { (sys::bpf_map__type(map.raw()), sys::bpf_map__max_entries(map.raw())) };
            let unsized_kind = matches!(
                kind,
                sys::BPF_MAP_TYPE_SK_STORAGE
                    | sys::BPF_MAP_TYPE_TASK_STORAGE
                    | sys::BPF_MAP_TYPE_INODE_STORAGE
                    | sys::BPF_MAP_TYPE_CGRP_STORAGE
                    | sys::BPF_MAP_TYPE_CGROUP_STORAGE
                    | sys::BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE
                    | sys::BPF_MAP_TYPE_STRUCT_OPS
            );
            if entries == 0 && !unsized_kind {
                // SAFETY: as above.
                unsafe { sys::bpf_map__set_max_entries(map.raw(), 1) };
                adjusted.push(format!("map '{}': max_entries 0 made 1", map.name()));
            }
        }
        adjusted
    }

    /// Chooses the programs that loading loads.
    pub fn autoload_only(&self, wanted: impl Fn(&Program) -> bool) {
        for program in self.programs() {
            // SAFETY: the program belongs to this open object.
            unsafe { sys::bpf_program__set_autoload(program.raw(), wanted(&program)) };
        }
    }

    /// Relocates and creates maps; programs can then be loaded. `Err` has the error number, positive.
    pub fn prepare(&self) -> Result<(), i32> {
        // SAFETY: the object is open.
        check(unsafe { sys::bpf_object__prepare(self.raw()) })
    }

    /// Loads the chosen programs. `Err` has the error number, positive.
    pub fn load(&self) -> Result<(), i32> {
        // SAFETY: the object is open.
        check(unsafe { sys::bpf_object__load(self.raw()) })
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        // SAFETY: nobody holds a program or map of this object any more.
        unsafe { sys::bpf_object__close(self.raw()) };
    }
}

/// A program of an open object.
pub struct Program<'a> {
    raw: NonNull<sys::bpf_program>,
    object: PhantomData<&'a Object>,
}

impl Program<'_> {
    /// The program's pointer, for calls that are made elsewhere.
    pub fn raw(&self) -> *mut sys::bpf_program {
        self.raw.as_ptr()
    }

    /// The program's name.
    pub fn name(&self) -> String {
        // SAFETY: the object is open.
        text(unsafe { sys::bpf_program__name(self.raw()) })
    }

    /// The section it stands in.
    pub fn section(&self) -> String {
        // SAFETY: the object is open.
        text(unsafe { sys::bpf_program__section_name(self.raw()) })
    }

    /// Gives the verifier a place for its log. `log` must stay until the program is loaded or the object closed.
    pub fn set_log(&self, log: &mut [u8], level: u32) {
        // SAFETY: the buffer is as long as said; the caller keeps it.
        unsafe {
            sys::bpf_program__set_log_buf(self.raw(), log.as_mut_ptr().cast(), log.len() as sys::size_t);
            sys::bpf_program__set_log_level(self.raw(), level);
        }
    }

    /// The instructions as they are now: relocated after [`Object::prepare`].
    pub fn insns(&self) -> Vec<u8> {
        // SAFETY: libbpf owns that many instructions of eight bytes at that address.
        unsafe {
            let first = sys::bpf_program__insns(self.raw()).cast::<u8>();
            let count = sys::bpf_program__insn_cnt(self.raw()) as usize;
            if first.is_null() { Vec::new() } else { std::slice::from_raw_parts(first, count * 8).to_vec() }
        }
    }
}

/// A map of an open object.
pub struct Map<'a> {
    raw: NonNull<sys::bpf_map>,
    object: PhantomData<&'a Object>,
}

impl Map<'_> {
    /// The map's pointer, for calls that are made elsewhere.
    pub fn raw(&self) -> *mut sys::bpf_map {
        self.raw.as_ptr()
    }

    /// The map's name; for a global section, the section's name without the object's.
    pub fn name(&self) -> String {
        // SAFETY: the object is open.
        let (name, internal) = unsafe { (text(sys::bpf_map__name(self.raw())), sys::bpf_map__is_internal(self.raw())) };
        match name.find('.') {
            Some(dot) if internal => name[dot..].to_owned(),
            _ => name,
        }
    }

    /// The bytes that the map starts with; empty when it is not a global section.
    pub fn initial_value(&mut self) -> &mut [u8] {
        let mut size: sys::size_t = 0;
        // SAFETY: the object is open; libbpf returns a writable mapping of `size` bytes or null.
        unsafe {
            let start = sys::bpf_map__initial_value(self.raw(), &raw mut size).cast::<u8>();
            if start.is_null() { &mut [] } else { std::slice::from_raw_parts_mut(start, size as usize) }
        }
    }
}

/// The variables of a global section: name, offset and size in bytes. Empty when the object's BTF does not know the section.
pub fn section_variables(object: &Object, section: &str) -> Vec<(String, u32, u32)> {
    let Ok(section) = CString::new(section) else { return Vec::new() };
    // SAFETY: the object is open, so its BTF lives; a DATASEC is followed by as many entries as its info field says.
    unsafe {
        let btf = sys::bpf_object__btf(object.raw());
        let id =
            if btf.is_null() { -1 } else { sys::btf__find_by_name_kind(btf, section.as_ptr(), sys::BTF_KIND_DATASEC) };
        let Ok(id) = u32::try_from(id) else { return Vec::new() };
        let datasec = sys::btf__type_by_id(btf, id);
        let entries = datasec.add(1).cast::<sys::btf_var_secinfo>();
        (0..usize::from((*datasec).info as u16))
            .map(|index| *entries.add(index))
            .map(|entry| {
                let variable = sys::btf__type_by_id(btf, entry.type_);
                (text(sys::btf__name_by_offset(btf, (*variable).name_off)), entry.offset, entry.size)
            })
            .collect()
    }
}

/// The last error number of the C library.
pub fn last_errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL)
}

/// Turns libbpf's result (0 or a negative error number) into ours.
fn check(status: c_int) -> Result<(), i32> {
    if status == 0 { Ok(()) } else { Err(status.abs()) }
}
