//! Takes out of a golden file what is different in every run, so that two runs can be compared.
//!
//! That is: time stamps and the checksums over them, and directory ids that the tool drew at random.

/// Bytes of a record batch's header before its records (`DefaultRecordBatch.RECORD_BATCH_OVERHEAD`).
const BATCH_HEADER: usize = 61;

/// The file with what is random or a time set to zero. `directory_ids` are the random ids of the case, as 22 letters
/// and as 16 bytes.
pub fn normalise(name: &str, bytes: &[u8], directory_ids: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes =
        if name.ends_with("meta.properties") { without_date(bytes) } else { without_times(bytes) };
    for (text, raw) in directory_ids {
        blank(&mut bytes, text.as_bytes());
        blank(&mut bytes, raw);
    }
    bytes
}

/// The second line of `meta.properties` is the date.
fn without_date(bytes: &[u8]) -> Vec<u8> {
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    lines.iter().enumerate().filter(|(index, _)| *index != 1).flat_map(|(_, line)| line.to_vec()).collect()
}

fn without_times(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut start = 0;
    while let Some(length) = length_of_batch(bytes.get(start..).unwrap_or_default()) {
        let end = (start + length).min(bytes.len());
        if let Some(batch) = bytes.get_mut(start..end) {
            // Checksum at 17, first and last time stamp at 27 and 35.
            for range in [17..21, 27..43] {
                batch.get_mut(range).unwrap_or_default().fill(0);
            }
            blank_snapshot_time(batch);
        }
        start = end;
    }
    bytes
}

fn length_of_batch(rest: &[u8]) -> Option<usize> {
    let length = rest.get(8..12)?.try_into().ok().map(u32::from_be_bytes)?;
    usize::try_from(length).ok().map(|length| length + 12)
}

/// A snapshot's header record holds the time of its last log entry: key (version 0, type 3), then the value's length,
/// version and time. The record's own length and deltas are one byte each, so the key begins five bytes in.
fn blank_snapshot_time(batch: &mut [u8]) {
    let key = BATCH_HEADER + 5;
    if batch.get(key..key + 4) == Some(&[0, 0, 0, 3]) {
        batch.get_mut(key + 7..key + 15).unwrap_or_default().fill(0);
    }
}

fn blank(bytes: &mut [u8], wanted: &[u8]) {
    let places: Vec<usize> = bytes
        .windows(wanted.len())
        .enumerate()
        .filter(|(_, found)| *found == wanted)
        .map(|(at, _)| at)
        .collect();
    for at in places {
        bytes.get_mut(at..at + wanted.len()).unwrap_or_default().fill(b'0');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_meta_properties_and_a_random_id_are_taken_out() {
        let check = |text: &str, want: &str| {
            let ids = [("AAECAwQFBgcICQoLDA0ODw".to_owned(), (0..16).collect())];
            assert_eq!(normalise("data/meta.properties", text.as_bytes(), &ids), want.as_bytes());
        };
        check("#\n#Sun Nov 22\nnode.id=1\n", "#\nnode.id=1\n");
        check("#\n#x\ndirectory.id=AAECAwQFBgcICQoLDA0ODw\n", "#\ndirectory.id=0000000000000000000000\n");
    }

    #[test]
    fn times_and_checksums_of_every_batch_are_taken_out_and_nothing_else() {
        let batch = |filler: u8| {
            let mut batch = vec![filler; BATCH_HEADER + 9];
            batch[8..12].copy_from_slice(&u32::try_from(BATCH_HEADER + 9 - 12).unwrap().to_be_bytes());
            batch
        };
        let made = normalise("bootstrap.checkpoint", &[batch(7), batch(9)].concat(), &[]);
        for (start, filler) in [(0, 7), (BATCH_HEADER + 9, 9)] {
            let (mut zeros, mut kept) = (0, 0);
            for byte in &made[start..start + BATCH_HEADER + 9] {
                zeros += usize::from(*byte == 0);
                kept += usize::from(*byte == filler);
            }
            // Four of checksum and sixteen of time; three more are the high bytes of the length, one its low byte.
            assert_eq!((zeros, kept), (4 + 16 + 3, BATCH_HEADER + 9 - 4 - 16 - 4));
        }
    }

    #[test]
    fn a_torn_batch_is_kept_as_it_is() {
        for length in 0..12 {
            assert_eq!(normalise("x.checkpoint", &vec![1; length], &[]), vec![1; length]);
        }
    }
}
