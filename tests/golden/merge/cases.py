"""The merges that are compared with mergekit: name and configuration, without a dtype."""


def cases(models):
    base, ja, a, b = (f"{models}/mini-{n}" for n in ("base", "ja", "math-a", "math-b"))

    def recipe(method, with_base=True, sources=(ja, a, b), weights=(0.6, 0.5, 0.3), top=None, **more):
        config = {"merge_method": method, "models": []}
        if with_base:
            config["base_model"] = base
        for i, source in enumerate(sources):
            parameters = {}
            if weights is not None:
                parameters["weight"] = weights[i]
            for key, values in more.items():
                parameters[key] = values[i] if isinstance(values, (list, tuple)) else values
            config["models"].append({"model": source, "parameters": parameters})
        if top:
            config["parameters"] = top
        return config

    yield "linear", recipe("linear", with_base=False)
    yield "linear_plain", recipe("linear", with_base=False, top={"normalize": False})
    yield "linear_gradient", recipe("linear", with_base=False, weights=([0.1, 0.9], [0.5, 0.2, 0.7], 0.3))
    filtered = recipe(
        "linear",
        with_base=False,
        weights=(
            [{"filter": "mlp", "value": [0.1, 0.4]}, {"value": 0.3}],
            [{"filter": "self_attn", "value": 0.9}, {"value": 1}],
            0.5,
        ),
    )
    yield "linear_filter", dict(filtered, out_dtype="float32")
    yield "linear_two", recipe("linear", with_base=False, sources=(ja, a), weights=(0.7, 0.2))
    slerp = recipe("slerp", sources=(base, ja), weights=None, top={"t": [0.2, 0.8]})
    yield "slerp", slerp
    yield "slerp_far", recipe("slerp", sources=(base, a), weights=None, top={"t": 0.35})
    yield "task_arithmetic", recipe("task_arithmetic")
    yield "task_lambda", recipe("task_arithmetic", top={"lambda": 0.7, "normalize": True})
    yield "task_negative", recipe("task_arithmetic", weights=(0.6, -0.5, 0.3))
    for density in (0.2, 0.5, 0.9):
        yield f"ties_{density}", recipe("ties", density=density)
    yield "ties_plain", recipe("ties", density=0.4, top={"normalize": False, "rescale": True})
    yield "dare_linear", recipe("dare_linear", density=(0.4, 0.6, 0.8))
    yield "dare_ties", recipe("dare_ties", density=(0.4, 0.6, 0.8))
    yield "dare_ties_norescale", recipe("dare_ties", density=0.5, top={"rescale": False, "normalize": True})
    yield "dare_ties_edges", recipe("dare_ties", density=(0.0, 1.0, 0.3))
    yield "dare_ties_lambda", recipe("dare_ties", density=0.5, top={"lambda": 1.3})
    yield "breadcrumbs", recipe("breadcrumbs", density=0.6, gamma=0.05)
    yield "breadcrumbs_ties", recipe("breadcrumbs_ties", density=(0.6, 0.9, 0.3))
    yield "della", recipe("della", density=0.5)
    yield "della_linear", recipe("della_linear", density=(0.4, 0.5, 0.6), epsilon=0.1)
    franken = {
        "merge_method": "passthrough",
        "slices": [
            {"sources": [{"model": base, "layer_range": [0, 5]}]},
            {"sources": [{"model": ja, "layer_range": [2, 6], "parameters": {"scale": 0.5}}]},
            {"sources": [{"model": a, "layer_range": [4, 8], "parameters": {
                "scale": [{"filter": "o_proj", "value": 0.25}, {"filter": "norm", "value": 1.5}]}}]},
        ],
    }
    yield "passthrough", franken
    yield "slices", {
        "merge_method": "dare_ties",
        "base_model": base,
        "slices": [
            {"sources": [
                {"model": ja, "layer_range": [0, 4], "parameters": {"weight": 0.7, "density": [0.3, 0.9]}},
                {"model": base, "layer_range": [0, 4]},
                {"model": a, "layer_range": [2, 6], "parameters": {"weight": [0.1, 0.4], "density": 0.5}}]},
            {"sources": [
                {"model": base, "layer_range": [4, 8]},
                {"model": b, "layer_range": [4, 8], "parameters": {"weight": 0.9}}]},
        ],
        "parameters": {"density": 0.8},
    }
    yield "nuslerp", recipe("nuslerp", with_base=False, sources=(ja, a), weights=(0.7, 0.4))
    yield "nuslerp_base", recipe("nuslerp", sources=(ja, a), weights=(0.7, 0.4))
    yield "nuslerp_rows", recipe("nuslerp", sources=(ja, a), weights=(0.7, 0.4),
                                 top={"nuslerp_flatten": False})
    yield "nuslerp_columns", recipe("nuslerp", sources=(ja, a), weights=(0.7, 0.4),
                                    top={"nuslerp_flatten": False, "nuslerp_row_wise": True})
    yield "multislerp", recipe("multislerp", with_base=False)
    yield "multislerp_base", recipe("multislerp", top={"normalize_weights": False})
    yield "karcher", recipe("karcher", with_base=False, weights=None)
    yield "karcher_base", recipe("karcher", weights=None, top={"max_iter": 5, "tol": 1e-6})
    yield "sce", recipe("sce", weights=None)
    yield "sce_topk", recipe("sce", weights=None, top={"select_topk": 0.3})
    yield "model_stock", recipe("model_stock", weights=None)
    yield "model_stock_rows", recipe("model_stock", weights=None, top={"filter_wise": True})
    yield "nearswap", recipe("nearswap", sources=(ja,), weights=None, top={"t": 0.002})
    yield "arcee_fusion", recipe("arcee_fusion", sources=(ja,), weights=None)
    yield "ram", recipe("ram", weights=None, top={"epsilon": 0.001})
    yield "ramplus_tl", recipe("ramplus_tl", weights=None, top={"epsilon": 0.001, "r": 0.5})
