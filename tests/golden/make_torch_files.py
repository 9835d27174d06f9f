"""Makes the folder torch-files beside this file: what torch.save writes, for the tests of our reader.

  plain.bin      tensors of every type and of many strides; plain.json has their values
  module.bin     the state dict of a module, with its attributes, without checksums
  old.bin        the format of before torch 1.6
  checkpoint.bin tensors beside other things
  repeated.bin   one number, repeated 10^12 times by its strides
  call.bin       a pickle that would run a program
  shards/        two files with an index; two names share a storage

Made with torch 2.11.0.
"""

import json
import os
import pathlib

import torch

HERE = pathlib.Path(__file__).parent / "torch-files"
TYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.int32,
         torch.int16, torch.int8, torch.uint8, torch.bool]


class Call:
    def __reduce__(self):
        return os.system, ("true",)


def plain():
    table = torch.arange(24.0).reshape(4, 6)
    tensors = {str(t).removeprefix("torch."): torch.tensor([[0, 1, 2], [3, 4, 100]]).to(t) for t in TYPES}
    tensors.update(
        table=table, tied=table, transposed=table.t(), rows=table[1:3], columns=table[:, 1:4:2],
        cube=torch.arange(24).reshape(2, 3, 4).to(torch.int16).permute(2, 0, 1),
        scalar=torch.tensor(7.5), empty=torch.zeros(0, 3), one=table[2:3, 3:4], odd=torch.arange(9.0)[1::2],
        parameter=torch.nn.Parameter(torch.tensor([1.5, -2.5])))
    torch.save(tensors, HERE / "plain.bin")
    values = {n: dict(shape=list(t.shape), values=t.detach().double().flatten().tolist()) for n, t in tensors.items()}
    (HERE / "plain.json").write_text(json.dumps(values) + "\n")
    torch.save(tensors, HERE / "old.bin", _use_new_zipfile_serialization=False)


def main():
    (HERE / "shards").mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    plain()
    torch.save(dict(state_dict=dict(a=torch.ones(2)), step=3), HERE / "checkpoint.bin")
    torch.save(dict(a=torch.ones(1).expand(10**6, 10**6)), HERE / "repeated.bin")
    torch.save(dict(a=torch.ones(2), b=Call()), HERE / "call.bin")
    torch.serialization.set_crc32_options(False)
    torch.save(torch.nn.Linear(2, 3).state_dict(), HERE / "module.bin")
    torch.serialization.set_crc32_options(True)

    a, b = torch.arange(4.0), torch.arange(6.0).half()
    torch.save(dict(a=a, again=a), HERE / "shards" / "pytorch_model-00001-of-00002.bin")
    torch.save(dict(b=b), HERE / "shards" / "pytorch_model-00002-of-00002.bin")
    index = dict(metadata=dict(total_size=16 + 12), weight_map={
        "a": "pytorch_model-00001-of-00002.bin", "again": "pytorch_model-00001-of-00002.bin",
        "b": "pytorch_model-00002-of-00002.bin"})
    (HERE / "shards" / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2) + "\n")


if __name__ == "__main__":
    main()
