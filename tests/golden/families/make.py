"""Makes the cases of this folder: tiny models of every family with all their features on.

Weights come from a formula (weight_values below; test_families.c has the same), so that a case is only
config.json and expected.json: tensor names and shapes, prompts, some rows of logits, greedy answers.

usage: make.py [case ...]        (needs torch and transformers 4.57)
"""
import json
import pathlib
import sys

import numpy as np
import torch
import transformers

HERE = pathlib.Path(__file__).resolve().parent
VOCAB = 64
ROWS = [0, 5, 6, 21, 22, 38, 39]  # rows of logits that are kept, where a prompt has them
NEW_TOKENS = 14

COMMON = dict(
    vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=64, bos_token_id=None, eos_token_id=None, pad_token_id=None,
    torch_dtype="float32",
)


def case(cls, **changes):
    values = dict(COMMON)
    values.update(changes)
    return cls, values


HALF_FACTORS = [1.0, 1.1, 1.5, 2.0]
CASES = {
    "llama": case("Llama", attention_bias=True, mlp_bias=True, rms_norm_eps=1e-5),
    "llama_linear": case("Llama", rope_scaling={"rope_type": "linear", "factor": 4.0}, tie_word_embeddings=True),
    "llama_dynamic": case("Llama", max_position_embeddings=24, rope_scaling={"rope_type": "dynamic", "factor": 2.0}),
    "llama_llama3": case("Llama", rope_theta=500000.0, rope_scaling={
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16}),
    "llama_yarn": case("Llama", rope_scaling={
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}),
    "llama_longrope": case("Llama", original_max_position_embeddings=16, rope_scaling={
        "rope_type": "longrope", "factor": 4.0, "short_factor": HALF_FACTORS, "long_factor": [1.0, 2.0, 3.0, 5.0],
        "original_max_position_embeddings": 16}),
    "mistral": case("Mistral", sliding_window=8, head_dim=12, rope_theta=1e5),
    "qwen2": case("Qwen2", tie_word_embeddings=True, use_sliding_window=True, sliding_window=8, max_window_layers=1),
    "qwen3": case("Qwen3", head_dim=16, attention_bias=True),
    "gemma": case("Gemma", head_dim=16, num_key_value_heads=1, hidden_activation=None),
    "gemma2": case("Gemma2", head_dim=16, sliding_window=8, query_pre_attn_scalar=24, attn_logit_softcapping=2.0,
                   final_logit_softcapping=3.0),
    "gemma3": case("Gemma3", head_dim=16, sliding_window=8, sliding_window_pattern=3, query_pre_attn_scalar=24,
                   rope_local_base_freq=1000.0, rope_theta=1e5, rope_scaling={"rope_type": "linear", "factor": 8.0}),
    "phi3": case("Phi3", sliding_window=8, original_max_position_embeddings=64),
    "phi3_longrope": case("Phi3", original_max_position_embeddings=44, max_position_embeddings=176, rope_scaling={
        "type": "longrope", "short_factor": HALF_FACTORS, "long_factor": [1.0, 2.0, 3.0, 5.0]}),
    "phi3_partial": case("Phi3", original_max_position_embeddings=64, tie_word_embeddings=True, head_dim=16,
                         hidden_size=64, partial_rotary_factor=0.75),
    "gpt_neox": case("GPTNeoX", rotary_pct=0.5, hidden_act="gelu"),
    "gpt_neox_sequential": case("GPTNeoX", rotary_pct=0.25, use_parallel_residual=False, attention_bias=False),
    "stablelm": case("StableLm", use_qkv_bias=True, partial_rotary_factor=0.5),
    "stablelm_parallel": case("StableLm", use_parallel_residual=True, qk_layernorm=True),
    "mixtral": case("Mixtral", num_local_experts=4, num_experts_per_tok=2, sliding_window=None),
}

# Release 4.57 loses the text when it drops the cache of Phi-3 at the switch to the long factors; later ones compute
# all keys anew, which is what generation without a cache gives.
WITHOUT_CACHE = {"phi3_longrope"}


def weight_values(name, shape):
    """Numbers in [-1, 1) from a hash of name and index; scaled by what the tensor is."""
    seed = 2166136261
    for byte in name.encode():
        seed = ((seed ^ byte) * 16777619) & 0xFFFFFFFF
    count = int(np.prod(shape))
    with np.errstate(over="ignore"):
        x = np.uint32(seed) + np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B9)
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x85EBCA6B)
        x ^= x >> np.uint32(13)
        x *= np.uint32(0xC2B2AE35)
        x ^= x >> np.uint32(16)
    unit = (x >> np.uint32(8)).astype(np.float32) / np.float32(8388608.0) - np.float32(1.0)
    if len(shape) > 1:
        scale = np.float32(2.5 / np.sqrt(shape[-1]))
        return (unit * scale).reshape(shape)
    if name.endswith("bias"):
        return unit * np.float32(0.25)
    return np.float32(1.0) + unit * np.float32(0.5)


def make_model(cls, config):
    with transformers.modeling_utils.no_init_weights():
        model = getattr(transformers, cls + "ForCausalLM")._from_config(config, attn_implementation="eager")
    model.tie_weights()
    model = model.to(torch.float32).eval()
    with torch.no_grad():
        for name, tensor in own_tensors(model):
            tensor.copy_(torch.from_numpy(weight_values(name, tuple(tensor.shape))))
    return model


def own_tensors(model):
    """Names and tensors without a head that is the embedding."""
    tied = getattr(model.config, "tie_word_embeddings", False)
    return [(name, tensor) for name, tensor in model.state_dict().items()
            if not (tied and name in ("lm_head.weight", "embed_out.weight"))]


def prompt_of(length, seed):
    return [int(v) for v in np.random.RandomState(seed).randint(0, VOCAB, size=length)]


def run_case(name):
    cls, values = CASES[name]
    values = {k: v for k, v in values.items()}
    dtype = values.pop("torch_dtype")
    cls_config = getattr(transformers, cls + ("TextConfig" if cls == "Gemma3" else "Config"))
    written = dict(values, architectures=[cls + "ForCausalLM"], model_type=cls_config.model_type, torch_dtype=dtype)
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(written, indent=1) + "\n")
    prompts = []
    tensors = None
    for length in (7, 40, 23):
        model = make_model(cls, cls_config(**json.loads(json.dumps(values))))
        tensors = [[n, list(t.shape)] for n, t in own_tensors(model)]
        ids = prompt_of(length, length)
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0]
        assert torch.isfinite(logits).all()
        rows = [[r, [float(f"{v:.7g}") for v in logits[r].tolist()]] for r in ROWS if r < length]
        model = make_model(cls, cls_config(**json.loads(json.dumps(values))))
        with torch.no_grad():
            out = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=NEW_TOKENS,
                                 use_cache=name not in WITHOUT_CACHE,
                                 attention_mask=torch.ones(1, length, dtype=torch.long), eos_token_id=-1,
                                 pad_token_id=0, output_scores=True, return_dict_in_generate=True)
        new = out.sequences[0, length:].tolist()
        gaps = []
        for score in out.scores:
            top = torch.topk(score[0], 2).values
            gaps.append(float(f"{float(top[0] - top[1]):.4g}"))
        prompts.append({"ids": ids, "logits": rows, "greedy": new, "gaps": gaps})
    (folder / "expected.json").write_text(json.dumps({"tensors": tensors, "prompts": prompts},
                                                     separators=(",", ":")) + "\n")
    print(name, len(tensors), "tensors, smallest gap", min(min(p["gaps"]) for p in prompts))


if __name__ == "__main__":
    for wanted in sys.argv[1:] or list(CASES):
        run_case(wanted)
