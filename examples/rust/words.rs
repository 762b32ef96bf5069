// Copyright (C) The ngx_http_background_module authors

//! The words of the text that a request brings, with how often they are in it,
//! the most frequent first, as JSON; a NUMBER of them, 10 by default.
//!
//!     rustc --edition=2021 -O --crate-type=cdylib -o words.so words.rs
//!
//!     call /usr/local/lib/words.so words [NUMBER];

mod call;

use call::{Call, Raw, ABI};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::os::raw::c_int;

#[no_mangle]
#[allow(non_upper_case_globals)]
pub static words_call_abi: c_int = ABI;

// cancelled() is not called with a lock held: other jobs may run meanwhile

#[no_mangle]
#[allow(non_upper_case_globals)]
pub static words_call_parks: c_int = 1;

/// # Safety
///
/// nginx calls it, as the header says.
#[no_mangle]
pub unsafe extern "C" fn words(call: *mut Raw) -> c_int {
    call::run(call, count_words)
}

fn count_words(call: &Call) -> Result<(), String> {
    let number = match call.args().first() {
        None => 10,
        Some(arg) => arg
            .to_str()
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| format!("{:?} is no number", arg))?,
    };

    let text = match std::str::from_utf8(call.input()) {
        Ok(text) => text,
        Err(_) => {
            call.status(400);
            return Ok(());
        }
    };

    let mut counts: HashMap<&str, u64> = HashMap::new();

    for (n, word) in text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .enumerate()
    {
        if n % 1024 == 0 && call.cancelled() {
            return Ok(());
        }
        *counts.entry(word).or_insert(0) += 1;
    }

    let mut sorted: Vec<_> = counts.into_iter().collect();
    sorted.sort_unstable_by_key(|&(word, n)| (Reverse(n), word));
    sorted.truncate(number);

    // of letters and digits alone: nothing has to be escaped

    let list: Vec<String> = sorted
        .iter()
        .map(|(word, n)| format!("{{\"word\": \"{}\", \"count\": {}}}", word, n))
        .collect();

    call.add_bytes(call.input().len() as u64);
    call.media_type("application/json");
    call.header("X-Task", &call.task().to_string_lossy());

    call.write(format!("[{}]\n", list.join(", ")).as_bytes())
        .map_err(|_| String::from("too much output"))
}
