//! What is posted to the port for orders.
#![no_main]

use libfuzzer_sys::fuzz_target;

use kraftlet::health::order::Wish;

fuzz_target!(|body: &[u8]| {
    for wish in [Wish::renew(body), Wish::forget_old_trust(body)] {
        match wish {
            Ok(wish) => drop(wish.body().to_string()),
            Err(error) => drop(error.to_string()),
        }
    }
});
