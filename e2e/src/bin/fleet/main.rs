//! What the fleet's parts do in a second of CPU, and how much memory they need: reviews by the webhook, certificates by
//! the signer.
//!
//! Each runs in a process of its own, with all of its code: TLS, HTTP, the questions to the API server and what it makes of
//! the answers. Only the API server is not there: its answers come from memory. So what is counted is ours.
//!
//!     fleet [COUNT] [SECONDS]      so many reviews and certificates, e.g. 20000, and so many seconds of 300 reviews

mod served;
mod signer;
mod webhook;

use std::process::ExitCode;

use crate::served::Problem;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.map_err(Problem::from).and_then(|runtime| runtime.block_on(run(&arguments)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::from(1)
        }
    }
}

async fn run(arguments: &[&str]) -> Result<(), Problem> {
    if let ["serve", part] = arguments {
        return match *part {
            "signer" => signer::serve().await,
            "webhook" => webhook::serve().await,
            other => Err(format!("nothing serves as {other:?}").into()),
        };
    }
    let count = arguments.first().map_or(Ok(20_000), |count| count.parse())?;
    let seconds = arguments.get(1).map_or(Ok(20), |seconds| seconds.parse())?;
    webhook::measure(count, seconds).await?;
    signer::measure(count).await
}
