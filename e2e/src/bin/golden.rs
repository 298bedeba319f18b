//! Makes or checks the golden files of one Kafka release. Called by `e2e/golden.sh`.

use std::path::Path;
use std::process::ExitCode;

use kraftlet_e2e::golden::cases;
use kraftlet_e2e::golden::make;
use kraftlet_e2e::golden::make::Problem;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [action @ ("make" | "check"), version, class_path, work, golden] => {
            run(action, version, class_path, Path::new(work), Path::new(golden))
        }
        _ => {
            eprintln!("usage: golden make|check KAFKA_VERSION CLASS_PATH WORK_DIR GOLDEN_DIR");
            return ExitCode::from(64);
        }
    };
    match result {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::from(2)
        }
    }
}

/// Gives the number of differences.
fn run(action: &str, version: &str, class_path: &str, work: &Path, golden: &Path) -> Result<usize, Problem> {
    let mut cases =
        cases::of_release(version).ok_or_else(|| format!("no golden cases for Kafka \"{version}\""))?;
    make::format_all(&mut cases, class_path, work)?;
    let mut different = 0;
    for name in make::unknown_folders(&cases, version, golden)? {
        println!("{name}: no case has this name");
        different += 1;
    }
    for case in &cases {
        if action == "make" {
            make::keep(case, work, golden)?;
        } else {
            for difference in make::differences(case, work, golden)? {
                println!("{difference}");
                different += 1;
            }
        }
    }
    println!("Kafka {version}: {} cases, {different} differences", cases.len());
    Ok(different)
}
