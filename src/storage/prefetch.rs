//! Telling the processor what will be read soon.
//!
//! Caveat: on processors other than x86-64 nothing is fetched ahead.

/// Has the processor fetch the cache line at this address, if there is memory, without waiting for it.
#[inline]
#[cfg_attr(not(all(target_arch = "x86_64", not(miri))), expect(unused_variables, reason = "no such instruction"))]
pub(super) fn prefetch<T>(at: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    #[expect(unsafe_code, reason = "a prefetch reads nothing that the program could see")]
    // SAFETY: the instruction is part of SSE, which every x86-64 processor has. It takes any address, valid or not, never
    // faults, and neither reads nor writes anything as far as the program's memory is concerned.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
}
