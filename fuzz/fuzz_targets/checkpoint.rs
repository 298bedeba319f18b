//! Snapshots and `bootstrap.checkpoint` on a disk that may hold anything.
#![no_main]

use libfuzzer_sys::fuzz_target;

use kraftlet::kafka::checkpoint::decode_checkpoint;

fuzz_target!(|bytes: &[u8]| {
    let _ = decode_checkpoint(bytes);
    let mut bytes = bytes.to_vec();
    correct_checksums(&mut bytes);
    let _ = decode_checkpoint(&bytes);
});

/// As an attacker would: no change that the checksum betrays gets any further.
fn correct_checksums(mut bytes: &mut [u8]) {
    // Base offset, length; leader epoch, magic, checksum.
    while let Some(length) = bytes.get(8..12) {
        let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        let Some((batch, rest)) = bytes.split_at_mut_checked(length.saturating_add(12)) else { return };
        if let Some((head, checked)) = batch.split_at_mut_checked(21) {
            head[17..].copy_from_slice(&crc32c::crc32c(checked).to_be_bytes());
        }
        bytes = rest;
    }
}
