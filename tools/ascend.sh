# shellcheck shell=bash
# Sourced by run_310.sh and run_310p.sh. Usage: port_to_ascend TARGET [the options of port]
#   PORTPROOF_PYTHON   the interpreter that has aclruntime (default: python3); the environment is made on top of its packages

port_to_ascend() {
    local target=$1 root python file
    shift
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    python=${PORTPROOF_PYTHON:-python3}
    if [[ " $* " != *" --rehearse "* ]] && [ -z "${ASCEND_TOOLKIT_HOME:-}" ]; then
        for file in {/usr/local,"$HOME"}/Ascend/{ascend-toolkit,cann,nnae}/set_env.sh; do
            if [ -f "$file" ]; then
                set +u # the vendor's script reads variables that may not be set
                # shellcheck source=/dev/null
                source "$file"
                set -u
                break
            fi
        done
    fi
    # shellcheck source=tools/environment.sh
    source "$root/tools/environment.sh"
    if has_module "$python" aclruntime; then
        prepare_environment_over aclruntime ascend
    else
        # A laptop: everything before the .om, or a rehearsal. The run directory continues on the NPU host.
        prepare_environment demo
    fi
    exec "$PORTPROOF_VENV/bin/python" -m portproof port --target "$target" "$@"
}
