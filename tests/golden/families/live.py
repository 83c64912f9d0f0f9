"""Random tiny models of every family, run by transformers and by merganser side by side.

usage: live.py PROGRAM [--count N] [--seed N]        (needs torch and transformers 4.57)
Each model draws its family, shape and features at random.  Log-probabilities of continuations must agree within 2e-4 in
float32 and be near in bfloat16, greedy answers must be equal up to near-ties, all in one batch of unequal texts.
Prints one line for each model that differs, and a summary; the exit code is 1 if any did.
"""
import argparse
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

import torch
import transformers

TOKENIZER = pathlib.Path(__file__).resolve().parents[3] / "examples" / "mini" / "models" / "mini-base"
VOCAB = 1024
NEW = 12
TOLERANCE = 2e-4
NEAR_TIE = 1e-3
FAMILIES = ["Llama", "Mistral", "Qwen2", "Qwen3", "Gemma", "Gemma2", "Gemma3", "Phi3", "GPTNeoX", "StableLm", "Mixtral"]


def rope_scaling(rng, half, limit):
    kind = rng.choice(["none", "linear", "dynamic", "llama3", "yarn", "longrope"])
    original = rng.choice([8, 16, 24])
    factor = rng.choice([2.0, 4.0, 8.0])
    if kind == "none":
        return None
    if kind in ("linear", "dynamic"):
        return {"rope_type": kind, "factor": factor}
    if kind == "llama3":
        return {"rope_type": kind, "factor": factor, "low_freq_factor": 1.0, "high_freq_factor": rng.choice([2.0, 4.0]),
                "original_max_position_embeddings": original}
    if kind == "yarn":
        scaling = {"rope_type": kind, "factor": limit / original, "original_max_position_embeddings": original}
        if rng.random() < 0.3:
            scaling.update(beta_fast=16.0, beta_slow=2.0)
        if rng.random() < 0.3:
            scaling.update(attention_factor=1.25)
        elif rng.random() < 0.3:
            scaling.update(mscale=0.7, mscale_all_dim=1.1)
        if rng.random() < 0.3:
            scaling.update(truncate=False)
        return scaling
    return {"rope_type": kind, "factor": limit / original, "original_max_position_embeddings": original,
            "short_factor": [round(rng.uniform(1, 2), 2) for _ in range(half)],
            "long_factor": [round(rng.uniform(1, 8), 2) for _ in range(half)]}


def draw(rng):
    family = rng.choice(FAMILIES)
    kv = rng.choice([1, 2, 4])
    heads = kv * rng.choice([1, 2, 3])
    dim = rng.choice([8, 12, 16, 20])
    limit = rng.choice([64, 96])
    values = dict(
        vocab_size=VOCAB, hidden_size=rng.choice([32, 48, 56]), intermediate_size=rng.choice([40, 64, 72]),
        num_hidden_layers=rng.choice([1, 2, 3, 5]), num_attention_heads=heads, num_key_value_heads=kv, head_dim=dim,
        max_position_embeddings=limit, tie_word_embeddings=rng.random() < 0.4, bos_token_id=None, eos_token_id=None,
        pad_token_id=None, rope_theta=rng.choice([1000.0, 10000.0, 500000.0]))
    values["rms_norm_eps"] = rng.choice([1e-6, 1e-5])
    window = rng.choice([3, 8, 17])
    if family in ("Llama", "Mistral", "Qwen2", "Qwen3"):
        values["rope_scaling"] = rope_scaling(rng, dim // 2, limit)
    if "short_factor" in (values.get("rope_scaling") or {}):  # where releases look for it differs
        values["original_max_position_embeddings"] = values["rope_scaling"]["original_max_position_embeddings"]
    if family == "Llama":
        values.update(attention_bias=rng.random() < 0.5, mlp_bias=rng.random() < 0.5,
                      hidden_act=rng.choice(["silu", "silu", "gelu", "gelu_pytorch_tanh"]))
    if family in ("Mistral", "Mixtral"):
        values["sliding_window"] = rng.choice([None, window])
    if family in ("Qwen2", "Qwen3"):
        values.update(use_sliding_window=rng.random() < 0.6, sliding_window=window, max_window_layers=rng.choice([0, 1, 2]))
        values["head_dim"] = dim if family == "Qwen3" else None
        if family == "Qwen3":
            values["attention_bias"] = rng.random() < 0.5
    if family.startswith("Gemma"):
        values.update(tie_word_embeddings=True, hidden_activation=rng.choice(["gelu_pytorch_tanh", "gelu_pytorch_tanh", None]))
    if family in ("Gemma2", "Gemma3"):
        values.update(sliding_window=window, query_pre_attn_scalar=rng.choice([8, 24]), attention_bias=rng.random() < 0.3,
                      hidden_activation="gelu_pytorch_tanh")
    if family == "Gemma2":
        values.update(attn_logit_softcapping=rng.choice([None, 2.0, 50.0]), final_logit_softcapping=rng.choice([None, 3.0]))
    if family == "Gemma3":
        values.update(sliding_window_pattern=rng.choice([2, 3, 6]), rope_local_base_freq=rng.choice([500.0, 10000.0]),
                      rope_scaling=rng.choice([None, {"rope_type": "linear", "factor": 8.0}]))
    if family == "Phi3":
        rotary = rng.choice([1.0, 1.0, 0.5])
        values.update(sliding_window=rng.choice([None, window]), partial_rotary_factor=rotary,
                      original_max_position_embeddings=limit)
        values["head_dim"] = dim = rng.choice([8, 16])
        values["hidden_size"] = heads * dim
        if rng.random() < 0.5:
            half = int(dim * rotary) // 2
            values.update(original_max_position_embeddings=24, rope_scaling={
                "type": "longrope", "short_factor": [round(rng.uniform(1, 2), 2) for _ in range(half)],
                "long_factor": [round(rng.uniform(1, 8), 2) for _ in range(half)]})
    if family in ("GPTNeoX", "StableLm", "Qwen2"):  # heads divide the hidden size
        values.pop("head_dim")
        values["hidden_size"] = heads * rng.choice([8, 12, 16])
    if family == "GPTNeoX":
        for name in ("num_key_value_heads", "rms_norm_eps", "rope_theta"):
            values.pop(name)
        values.update(rotary_pct=rng.choice([0.25, 0.5, 1.0]), use_parallel_residual=rng.random() < 0.5,
                      attention_bias=rng.random() < 0.7, hidden_act=rng.choice(["gelu", "gelu_new"]))
        if values["hidden_size"] // heads == 12 and values["rotary_pct"] == 0.25:
            values["rotary_pct"] = 0.5  # an even number of components
    if family == "StableLm":
        values.pop("rms_norm_eps")
        values.update(use_qkv_bias=rng.random() < 0.5, partial_rotary_factor=rng.choice([0.5, 1.0]),
                      use_parallel_residual=rng.random() < 0.5, qk_layernorm=rng.random() < 0.5)
    if family == "Mixtral":
        experts = rng.choice([2, 4, 5])
        values.update(num_local_experts=experts, num_experts_per_tok=rng.randint(1, min(experts, 3)))
    if family == "Qwen2" and values["rope_scaling"] and "short_factor" in values["rope_scaling"]:
        values["rope_scaling"] = None  # the lists fit another head size
    return family, values


def make_model(family, values, seed):
    config_class = getattr(transformers, family + ("TextConfig" if family == "Gemma3" else "Config"))
    config = config_class(**json.loads(json.dumps(values)))
    with transformers.modeling_utils.no_init_weights():
        model = getattr(transformers, family + "ForCausalLM")._from_config(config, attn_implementation="eager")
    model.tie_weights()
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if tensor.dim() == 1:  # norms and biases that matter
                tensor.copy_(torch.randn_like(tensor) * 0.3 + (1.0 if "norm" in name and "bias" not in name else 0.0))
            else:
                tensor.copy_(torch.randn_like(tensor) * (1.5 / tensor.shape[-1] ** 0.5))
    return model.float().eval()


def run(program, command, folder, lines, *more):
    with tempfile.TemporaryDirectory() as work:
        path = pathlib.Path(work, "requests.jsonl")
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        done = subprocess.run([program, command, str(folder), "--requests", str(path), "-q", "--device", "cpu", *more],
                              capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr else "no message")
    return {reply["id"]: reply for reply in map(json.loads, done.stdout.splitlines())}


def expected_scores(family, values, seed, pairs):
    scores = []
    for context, continuation in pairs:
        ids = torch.tensor([context + continuation[:-1]])
        model = make_model(family, values, seed)  # dynamic and longrope remember the longest text
        with torch.no_grad():
            logits = model(ids).logits[0].double().log_softmax(-1)
        at = range(len(context) - 1, len(context) + len(continuation) - 1)
        scores.append([float(logits[row, token]) for row, token in zip(at, continuation)])
    return scores


def expected_answer(family, values, seed, ids):
    model = make_model(family, values, seed)
    scaling = values.get("rope_scaling") or {}
    with torch.no_grad():
        out = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), do_sample=False,
                             max_new_tokens=NEW, eos_token_id=-1, pad_token_id=0, output_scores=True,
                             use_cache=not (family == "Phi3" and scaling), return_dict_in_generate=True)
    tops = [torch.topk(score[0], 2).values for score in out.scores]
    return out.sequences[0, len(ids):].tolist(), [float(top[0] - top[1]) for top in tops]


def check(program, family, values, seed, rng, work):
    folder = pathlib.Path(work, "model")
    shutil.rmtree(folder, ignore_errors=True)
    make_model(family, values, seed).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TOKENIZER / name, folder)
    lengths = [1, 2, 7, 15, 16, 17, 30, 45]
    rng.shuffle(lengths)
    ids = [[rng.randrange(3, VOCAB) for _ in range(n)] for n in lengths]
    pairs = [(one, [rng.randrange(3, VOCAB) for _ in range(rng.randint(1, 6))]) for one in ids[:5]]
    wanted = expected_scores(family, values, seed, pairs)
    lines = [{"id": i, "context_ids": c, "continuation_ids": t} for i, (c, t) in enumerate(pairs)]
    wrong = []
    for dtype, batch in (("float32", "0"), ("float32", "1"), ("bfloat16", "0")):
        got = run(program, "score", folder, lines, "--dtype", dtype, "--batch-size", batch)
        flat = [(a, b) for i, row in enumerate(wanted) for a, b in zip(got[i]["token_logprobs"], row)]
        worst = max(abs(a - b) for a, b in flat)
        scale = max(abs(b) for _, b in flat)
        if family == "Mixtral" and dtype == "bfloat16":
            continue  # rounding may choose another expert
        if not worst < (TOLERANCE if dtype == "float32" else 0.06 * scale):
            wrong.append(f"{dtype} batch {batch}: log-probabilities differ by {worst:.2g} of {scale:.2g}")
    got = run(program, "generate", folder, [{"id": i, "ids": one} for i, one in enumerate(ids)], "--dtype", "float32",
              "--max-new-tokens", str(NEW), "--ignore-eos", "--batch-size", "3")
    for i, one in enumerate(ids):
        answer, gaps = expected_answer(family, values, seed, one)
        for token, (a, b) in enumerate(zip(got[i]["ids"], answer)):
            if a != b:
                if gaps[token] > NEAR_TIE:
                    wrong.append(f"prompt of {len(one)}: token {token} is {a}, expected {b}, gap {gaps[token]:.2g}")
                break
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    failed = 0
    seen = {}
    with tempfile.TemporaryDirectory() as work:
        for n in range(args.seed, args.seed + args.count):
            rng = random.Random(n)
            family, values = draw(rng)
            seen[family] = seen.get(family, 0) + 1
            try:
                wrong = check(args.program, family, values, n, rng, work)
            except RuntimeError as error:
                wrong = [str(error)]
            if wrong:
                failed += 1
                print(f"seed {n} {family} {json.dumps(values)}", *wrong, sep="\n  ", flush=True)
    print(f"{args.count - failed} of {args.count} models agree:", ", ".join(f"{k} {v}" for k, v in sorted(seen.items())))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
