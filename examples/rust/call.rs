// Copyright (C) The ngx_http_background_module authors

//! The interface of "call", ngx_http_background_call.h, in Rust.

#![allow(dead_code)]

use std::ffi::{c_void, CStr, CString};
use std::os::raw::{c_char, c_int};
use std::panic::{catch_unwind, AssertUnwindSafe};

/// Of `NAME_call_abi`, which a library has for each function.
pub const ABI: c_int = 2;

/// `ngx_http_background_call_t`; the members and their order are the header's.
#[repr(C)]
pub struct Raw {
    task: *const c_char,
    argc: c_int,
    argv: *const *const c_char,

    cancelled: unsafe extern "C" fn(*mut Raw) -> c_int,
    progress: unsafe extern "C" fn(*mut Raw, u64, u64),
    add_bytes: unsafe extern "C" fn(*mut Raw, u64),
    add_completed: unsafe extern "C" fn(*mut Raw, u64),
    fail: unsafe extern "C" fn(*mut Raw, *const c_char, ...),
    message: unsafe extern "C" fn(*mut Raw, *const c_char, ...),

    input: *const c_void,
    input_len: usize,
    fence: u64,

    write: unsafe extern "C" fn(*mut Raw, *const c_void, usize) -> c_int,
    kind: unsafe extern "C" fn(*mut Raw, *const c_char),
    status: unsafe extern "C" fn(*mut Raw, c_int),
    header: unsafe extern "C" fn(*mut Raw, *const c_char, *const c_char),
}

/// A call, for as long as its function runs, on the function's own thread.
pub struct Call(*mut Raw);

/// There is no memory, or more output than the trigger takes: the cycle fails.
#[derive(Debug)]
pub struct Refused;

impl Call {
    /// To be asked at least every millisecond of work.
    pub fn cancelled(&self) -> bool {
        unsafe { ((*self.0).cancelled)(self.0) != 0 }
    }

    pub fn progress(&self, done: u64, total: u64) {
        unsafe { ((*self.0).progress)(self.0, done, total) }
    }

    pub fn add_bytes(&self, n: u64) {
        unsafe { ((*self.0).add_bytes)(self.0, n) }
    }

    pub fn fail(&self, text: &str) {
        let text = c_string(text);
        unsafe { ((*self.0).fail)(self.0, S.as_ptr().cast(), text.as_ptr()) }
    }

    pub fn message(&self, text: &str) {
        let text = c_string(text);
        unsafe { ((*self.0).message)(self.0, S.as_ptr().cast(), text.as_ptr()) }
    }

    pub fn task(&self) -> &CStr {
        unsafe { CStr::from_ptr((*self.0).task) }
    }

    pub fn args(&self) -> Vec<&CStr> {
        unsafe {
            (0..(*self.0).argc as usize)
                .map(|i| CStr::from_ptr(*(*self.0).argv.add(i)))
                .collect()
        }
    }

    pub fn input(&self) -> &[u8] {
        unsafe {
            if (*self.0).input.is_null() {
                return &[];
            }
            std::slice::from_raw_parts((*self.0).input.cast(), (*self.0).input_len)
        }
    }

    pub fn fence(&self) -> u64 {
        unsafe { (*self.0).fence }
    }

    pub fn write(&self, data: &[u8]) -> Result<(), Refused> {
        match unsafe { ((*self.0).write)(self.0, data.as_ptr().cast(), data.len()) } {
            0 => Ok(()),
            _ => Err(Refused),
        }
    }

    pub fn media_type(&self, media_type: &str) {
        let text = c_string(media_type);
        unsafe { ((*self.0).kind)(self.0, text.as_ptr()) }
    }

    pub fn status(&self, code: u16) {
        unsafe { ((*self.0).status)(self.0, code.into()) }
    }

    pub fn header(&self, name: &str, value: &str) {
        let (name, value) = (c_string(name), c_string(value));
        unsafe { ((*self.0).header)(self.0, name.as_ptr(), value.as_ptr()) }
    }
}

const S: &[u8] = b"%s\0";

/// A text ends at its first zero byte.
fn c_string(text: &str) -> CString {
    let text = text.split('\0').next().unwrap_or("");
    CString::new(text).unwrap_or_default()
}

/// Calls a function with what nginx has given. A panic, which must not leave
/// a function that C has called, is a failure.
///
/// # Safety
///
/// `raw` is the argument of a function that "call" runs.
pub unsafe fn run(raw: *mut Raw, function: fn(&Call) -> Result<(), String>) -> c_int {
    let call = Call(raw);

    let text = match catch_unwind(AssertUnwindSafe(|| function(&call))) {
        Ok(Ok(())) => return 0,
        Ok(Err(text)) => text,
        Err(_) => String::from("panic"),
    };

    call.fail(&text);
    1
}
