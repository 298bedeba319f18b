//! `kubectl kraftlet`: by its name or by a flag, and through whatever kubectl is on the PATH.

use std::path::Path;

use assert_cmd::Command;

/// Does what KUBECTL_DOES says. A file of the repository: one that a test writes may still be open in a child that another
/// test has just forked, and then nobody can run it (ETXTBSY).
const KUBECTL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/kubectl");

fn check(arguments: &[&str], script: &str, code: i32, want: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kraftlet"));
    command.env("PATH", format!("{KUBECTL}:/usr/bin:/bin")).env("KUBECTL_DOES", script);
    let output = command.env("TMPDIR", folder.path()).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), said.as_str()), (Some(code), want), "{arguments:?}");
    // The folder with the socket is gone again.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn what_kubectl_says_is_told_as_the_reason() {
    let status = ["--kubernetes", "status", "--namespace", "prod", "--context", "moon"];
    let script = "[ \"$1\" = --context=moon ] && echo 'error: context \"moon\" does not exist' >&2; exit 1";
    let want = "error: kubectl proxy does not run: context \"moon\" does not exist [KubectlFailed]\n";
    check(&status, script, 2, want);
    let status = ["status", "--kubernetes"];
    let want = "error: kubectl proxy does not run: kubectl config view says \"current-context must exist\"; \
                want a context or --namespace [KubectlFailed]\n";
    check(&status, "echo 'error: current-context must exist' >&2; exit 1", 2, want);
}

/// Its last words come when it has been waited for: `$$` is kubectl itself, which answers signals until then.
#[test]
fn last_words_are_heard_when_kubectl_has_ended() {
    let script = "( while kill -0 $$ 2>/dev/null; do :; done; echo 'error: no route' >&2 ) & exit 1";
    let status = ["--kubernetes", "status", "--namespace", "prod"];
    check(&status, script, 2, "error: kubectl proxy does not run: no route [KubectlFailed]\n");
}

#[test]
fn the_plugin_has_a_command_line_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("kubectl-kraftlet");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_kraftlet"), &plugin).unwrap();
    for (program, flag) in
        [(plugin.as_path(), None), (Path::new(env!("CARGO_BIN_EXE_kraftlet")), Some("--kubernetes"))]
    {
        let output = Command::new(program).args(flag).arg("--help").output().unwrap();
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(help.contains("Usage: kubectl kraftlet [OPTIONS] <COMMAND>"), "{help}");
        let output =
            Command::new(program).args(flag).args(["renew", "--namespace", "prod"]).output().unwrap();
        assert_eq!(output.status.code(), Some(64));
    }
}
