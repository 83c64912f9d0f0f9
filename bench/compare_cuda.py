#!/usr/bin/env python3
"""bench/compare_cuda.py - the shapes of bench_cuda through PyTorch and transformers, on the same card.

usage: compare_cuda.py        prints CSV: what, milliseconds (medians); run it beside bench_cuda
"""
import statistics
import time

import torch
from transformers import MistralConfig, MistralForCausalLM
from transformers.cache_utils import DynamicCache

DEVICE = "cuda"


def timed(step, rounds):
    step()
    torch.cuda.synchronize()
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        step()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(times)


def make_model():
    config = MistralConfig(vocab_size=32000, hidden_size=4096, intermediate_size=14336,
                           num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8,
                           max_position_embeddings=4096, sliding_window=None)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(DEVICE):
        model = MistralForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    return model.eval()


@torch.no_grad()
def prefill(model, prompts, tokens, at_once):
    total = 0.0
    ids = torch.randint(0, 32000, (at_once, tokens), device=DEVICE)
    for _ in range(prompts // at_once):
        total += timed(lambda: model(ids, logits_to_keep=1).logits.argmax(-1), 3)
    return total


@torch.no_grad()
def decode(model, batch, context):
    ids = torch.randint(0, 32000, (batch, 1), device=DEVICE)
    shape = (batch, 8, context, 128)

    def step():
        cache = DynamicCache()
        for layer in range(32):
            cache.update(keys[layer], values[layer], layer)
        begin = time.perf_counter()
        position = torch.full((batch, 1), context, device=DEVICE)
        model(ids, past_key_values=cache, position_ids=position).logits.argmax(-1).cpu()
        return (time.perf_counter() - begin) * 1e3

    keys = [torch.randn(shape, device=DEVICE, dtype=torch.bfloat16) for _ in range(32)]
    values = [torch.randn(shape, device=DEVICE, dtype=torch.bfloat16) for _ in range(32)]
    step()
    return statistics.median(step() for _ in range(7))


def merge():
    """dare_ties of two sources over a base as mergekit does it: one tensor operation after another."""
    base, a, b = (torch.randn(4096, 14336, device=DEVICE, dtype=torch.bfloat16) for _ in range(3))

    def step():
        deltas = []
        for source in (a, b):
            delta = source - base
            mask = torch.bernoulli(torch.full_like(delta, 0.5, dtype=torch.float32)).to(delta.dtype)
            deltas.append(delta * mask * 2)
        stacked = torch.stack(deltas, 0)
        weighted = stacked * 0.6
        sign = (weighted.sum(0) >= 0).to(weighted.dtype) * 2 - 1
        kept = weighted * (weighted.sign() == sign)
        return base + kept.sum(0)

    return timed(step, 9) * 16


def main():
    print("what,ms")
    print(f"torch merge dare_ties 2 sources (16 matrices),{merge():.3f}", flush=True)
    model = make_model()
    print(f"transformers prefill 250 x 180,{prefill(model, 250, 180, 50):.1f}", flush=True)
    for batch in (8, 64, 250):
        print(f"transformers decode batch {batch} context 400,{decode(model, batch, 400):.2f}",
              flush=True)


if __name__ == "__main__":
    main()
