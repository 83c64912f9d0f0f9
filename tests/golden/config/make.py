"""Writes cases.json (configurations as found in the wild, with keys left out) and expected.txt (what
transformers makes of them).

Run with transformers 4.57 or 5; both give the same file.
"""
import json
import os

from transformers import AutoConfig

here = os.path.dirname(os.path.abspath(__file__))
small = {"vocab_size": 320, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 7,
         "num_attention_heads": 4, "max_position_embeddings": 512}


def case(architecture, model_type, **keys):
    return {"architectures": [architecture], "model_type": model_type, **keys}


cases = {
    "llama-bare": case("LlamaForCausalLM", "llama"),
    "llama-2": case("LlamaForCausalLM", "llama", **small, rms_norm_eps=1e-5, rope_scaling=None),
    "llama-3": case("LlamaForCausalLM", "llama", **small, num_key_value_heads=2, rope_theta=500000.0,
                    eos_token_id=[128001, 128008], bos_token_id=128000, tie_word_embeddings=True,
                    rope_scaling={"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                  "original_max_position_embeddings": 8192, "rope_type": "llama3"}),
    "llama-linear": case("LlamaForCausalLM", "llama", **small, attention_bias=True, mlp_bias=True,
                         rope_scaling={"type": "linear", "factor": 4.0}),
    "mistral-bare": case("MistralForCausalLM", "mistral"),
    "mistral-v0.2": case("MistralForCausalLM", "mistral", **small, num_key_value_heads=2,
                         sliding_window=None, rope_theta=1e6),
    "mistral-nemo": case("MistralForCausalLM", "mistral", **small, num_key_value_heads=2,
                         head_dim=24, sliding_window=None),
    "qwen2-bare": case("Qwen2ForCausalLM", "qwen2"),
    "qwen2": case("Qwen2ForCausalLM", "qwen2", **small, num_key_value_heads=2, rope_theta=1e6,
                  use_sliding_window=False, sliding_window=131072, max_window_layers=5),
    "qwen2-window": case("Qwen2ForCausalLM", "qwen2", **small, num_key_value_heads=2,
                         use_sliding_window=True, sliding_window=128, max_window_layers=5),
    "qwen3": case("Qwen3ForCausalLM", "qwen3", **small, num_key_value_heads=2, attention_bias=True),
    "qwen3-yarn": case("Qwen3ForCausalLM", "qwen3", **small, num_key_value_heads=None, head_dim=32,
                       rope_scaling={"rope_type": "yarn", "factor": 4.0,
                                     "original_max_position_embeddings": 128}),
    "gemma-bare": case("GemmaForCausalLM", "gemma"),
    "gemma-2b": case("GemmaForCausalLM", "gemma", **small, num_key_value_heads=1, head_dim=16,
                     hidden_act="gelu"),
    "gemma2-bare": case("Gemma2ForCausalLM", "gemma2"),
    "gemma2": case("Gemma2ForCausalLM", "gemma2", **small, num_key_value_heads=2, head_dim=16,
                   query_pre_attn_scalar=144, attn_logit_softcapping=None, sliding_window=64),
    "gemma3-bare": case("Gemma3ForCausalLM", "gemma3_text"),
    "gemma3-1b": case("Gemma3ForCausalLM", "gemma3_text", **small, num_key_value_heads=1,
                      head_dim=16, rope_local_base_freq=10000, rope_theta=1000000,
                      sliding_window=32, sliding_window_pattern=3),
    "phi3-bare": case("Phi3ForCausalLM", "phi3"),
    "phi3-long": case("Phi3ForCausalLM", "phi3", **small, sliding_window=262144,
                      original_max_position_embeddings=128,
                      rope_scaling={"type": "longrope", "short_factor": [1.0] * 8,
                                    "long_factor": [1.5] * 8}),
    "phi4-mini": case("Phi3ForCausalLM", "phi3", **small, num_key_value_heads=2,
                      partial_rotary_factor=0.75, tie_word_embeddings=True, sliding_window=None),
    "gpt-neox-bare": case("GPTNeoXForCausalLM", "gpt_neox"),
    "pythia": case("GPTNeoXForCausalLM", "gpt_neox", **small, rotary_pct=0.5,
                   rotary_emb_base=20000, use_parallel_residual=False, hidden_act="gelu_new"),
    "stablelm-bare": case("StableLmForCausalLM", "stablelm"),
    "stablelm-2": case("StableLmForCausalLM", "stablelm", **small, num_key_value_heads=2,
                       use_qkv_bias=True, qk_layernorm=True, use_parallel_residual=True,
                       partial_rotary_factor=0.5),
    "mixtral-bare": case("MixtralForCausalLM", "mixtral"),
    "mixtral": case("MixtralForCausalLM", "mixtral", **small, num_key_value_heads=2,
                    num_local_experts=4, num_experts_per_tok=3, sliding_window=None),
}


def number(value):
    return "-" if value is None else f"{float(value):.9g}"


def describe(config):
    config = config.get_text_config()
    scaling = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    full = scaling.get("full_attention") or scaling
    local = scaling.get("sliding_attention") or {}
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    window = getattr(config, "sliding_window", None)
    types = getattr(config, "layer_types", None)
    if types is None:
        types = ["sliding_attention" if window else "full_attention"] * config.num_hidden_layers
    eos = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    epsilon = getattr(config, "rms_norm_eps", None) or config.layer_norm_eps
    theta = full.get("rope_theta") or getattr(config, "rope_theta", None) or config.rotary_emb_base
    partial = full.get("partial_rotary_factor") or getattr(config, "partial_rotary_factor", None)
    partial = partial or getattr(config, "rotary_pct", 1.0)
    local_theta = local.get("rope_theta") or getattr(config, "rope_local_base_freq", None)
    yes = lambda name: int(bool(getattr(config, name, False)))
    return " ".join([
        f"V{config.vocab_size} H{config.hidden_size} I{config.intermediate_size}",
        f"L{config.num_hidden_layers} A{config.num_attention_heads} K{heads} D{head_dim}",
        f"M{config.max_position_embeddings} eps={number(epsilon)} theta={number(theta)}",
        f"local={number(local_theta)} partial={number(partial)}",
        f"rope={full.get('rope_type') or full.get('type') or 'default'}",
        f"factor={number(full.get('factor'))} window={window if window else 0}",
        "slides=" + "".join(str(int(window is not None and t == "sliding_attention"))
                            for t in types),
        f"tie={yes('tie_word_embeddings')} bias={yes('attention_bias') or yes('use_qkv_bias')}",
        f"mlp_bias={yes('mlp_bias')} parallel={yes('use_parallel_residual')}",
        f"qk_norm={yes('qk_layernorm')}",
        f"scalar={number(getattr(config, 'query_pre_attn_scalar', None))}",
        f"cap={number(getattr(config, 'attn_logit_softcapping', None))}",
        f"final={number(getattr(config, 'final_logit_softcapping', None))}",
        f"experts={getattr(config, 'num_local_experts', 0)}",
        f"per_token={getattr(config, 'num_experts_per_tok', 0)}",
        f"bos={config.bos_token_id} pad={config.pad_token_id}",
        "eos=" + ",".join(str(e) for e in eos),
    ])


with open(os.path.join(here, "cases.json"), "w", encoding="utf-8") as out:
    json.dump(cases, out, indent=1)
    out.write("\n")
with open(os.path.join(here, "expected.txt"), "w", encoding="utf-8") as out:
    for name, keys in cases.items():
        keys = dict(keys)
        config = AutoConfig.for_model(keys.pop("model_type"), **keys)
        out.write(f"{name}: {describe(config)}\n")
