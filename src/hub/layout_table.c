/* hub/layout_table.c - the tensors of known architectures (merging.md, Appendix A).
 *
 * The rows follow the definitions of mergekit, also in the order of their tensors, with its known
 * mistakes put right: GPT-NeoX buffers are optional, T5 need not be gated, weights that a
 * configuration switches on or off are optional, and so are heads that can be tied. */
#include "hub/layout_internal.h"

/* clang-format off */
const mg_layout_row mg_layout_rows[] = {
    { .architectures = "_AfmoePartialForCausalLM",
      .model_type = "_afmoe_partial",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm, pre_mlp_layernorm, mlp.{down_proj?, "
               "gate_proj?, up_proj?}, mlp.shared_experts.{down_proj?, "
               "gate_proj?, up_proj?}, =mlp.expert_bias?, mlp.router.gate?, "
               "post_mlp_layernorm, self_attn.{q_norm, q_proj, k_norm, "
               "k_proj, o_proj, v_proj, gate_proj}, post_attention_layernorm",
      .post = "model.norm, lm_head!E?~" },
    { .architectures = "ApertusForCausalLM",
      .model_type = "apertus",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "attention_layernorm, feedforward_layernorm, "
               "=mlp.act_fn.alpha_n, =mlp.act_fn.alpha_p, =mlp.act_fn.beta, "
               "=mlp.act_fn.eps, mlp.{down_proj, up_proj}, self_attn.{k_norm, "
               "k_proj, q_norm, q_proj, v_proj, o_proj}",
      .post = "model.norm, lm_head!E?~" },
    { .architectures = "ArceeForCausalLM",
      .model_type = "arcee",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm, mlp.{down_proj, up_proj}, "
               "post_attention_layernorm, self_attn.{k_proj, o_proj, q_proj, "
               "v_proj}",
      .post = "model.norm, lm_head!E?~" },
    { .architectures = "BaichuanForCausalLM",
      .model_type = "baichuan",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm, self_attn.{W_pack, o_proj}, "
               "post_attention_layernorm, mlp.{gate_proj, down_proj, "
               "up_proj}",
      .post = "model.norm, lm_head!E" },
    { .architectures = "BertForMaskedLM",
      .model_type = "bert",
      .pre = "bert.embeddings.{position_embeddings, token_type_embeddings, "
             "word_embeddings!E, LayerNorm+b@, LayerNorm@}, "
             "=bert.embeddings.position_ids?#i64",
      .layer_prefix = "bert.encoder.layer.N.",
      .layer = "attention.self.{query(+b), key(+b), value(+b)}, "
               "attention.output.{dense(+b), LayerNorm+b@, LayerNorm@}, "
               "intermediate.dense(+b), output.{dense(+b), LayerNorm+b@, "
               "LayerNorm@}",
      .post = "bert.pooler.dense(+b), cls.predictions+b!E, "
              "cls.predictions.decoder!E?~",
      .alias = MG_ALIAS_GAMMA },
    { .architectures = "BertForSequenceClassification BertForMultipleChoice BertForTokenClassification",
      .model_type = "bert",
      .pre = "bert.embeddings.{position_embeddings, token_type_embeddings, "
             "word_embeddings!E, LayerNorm+b@, LayerNorm@}, "
             "=bert.embeddings.position_ids?#i64",
      .layer_prefix = "bert.encoder.layer.N.",
      .layer = "attention.self.{query(+b), key(+b), value(+b)}, "
               "attention.output.{dense(+b), LayerNorm+b@, LayerNorm@}, "
               "intermediate.dense(+b), output.{dense(+b), LayerNorm+b@, "
               "LayerNorm@}",
      .post = "bert.pooler.dense(+b)?, classifier+b, classifier",
      .alias = MG_ALIAS_GAMMA },
    { .architectures = "BertModel",
      .model_type = "bert",
      .pre = "embeddings.{position_embeddings@, token_type_embeddings@, "
             "word_embeddings!E@, LayerNorm+b@, LayerNorm@}, "
             "=embeddings.position_ids?#i64@",
      .layer_prefix = "encoder.layer.N.",
      .layer = "attention.self.{query(+b)@, key(+b)@, value(+b)@}, "
               "attention.output.{dense(+b)@, LayerNorm+b@, LayerNorm@}, "
               "intermediate.dense(+b)@, output.{dense(+b)@, LayerNorm+b@, "
               "LayerNorm@}",
      .post = "pooler.dense(+b)@",
      .alias = MG_ALIAS_BERT },
    { .architectures = "ChatGLMModel",
      .model_type = "chatglm",
      .pre = "transformer.embedding.word_embeddings!E, "
             "=transformer.rotary_pos_emb.inv_freq",
      .layer_prefix = "transformer.encoder.layers.N.",
      .layer = "input_layernorm, mlp.{dense_4h_to_h, dense_h_to_4h}, "
               "post_attention_layernorm, self_attention.{dense, "
               "query_key_value+b, query_key_value}",
      .post = "transformer.encoder.final_layernorm, transformer.output_layer!E" },
    { .architectures = "CohereForCausalLM",
      .model_type = "cohere",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm, mlp.{down_proj, gate_proj, up_proj}, "
               "self_attn.{q_norm?, q_proj, k_norm?, k_proj, v_proj, o_proj}",
      .post = "model.norm, lm_head!E?" },
    { .architectures = "Cohere2ForCausalLM",
      .model_type = "cohere2",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "self_attn.{q_proj, k_proj, v_proj, o_proj}, mlp.{gate_proj, "
               "up_proj, down_proj}, input_layernorm",
      .post = "model.norm, lm_head!E?" },
    { .architectures = "DistilBertForMaskedLM",
      .model_type = "distilbert",
      .pre = "distilbert.embeddings.{position_embeddings, "
             "word_embeddings!E, LayerNorm+b@, LayerNorm@}",
      .layer_prefix = "distilbert.transformer.layer.N.",
      .layer = "attention.{k_lin(+b), q_lin(+b), v_lin(+b), out_lin(+b)}, "
               "sa_layer_norm+b, sa_layer_norm, ffn.{lin1(+b), lin2(+b)}, "
               "output_layer_norm+b, output_layer_norm",
      .post = "vocab_transform(+b), vocab_layer_norm+b, vocab_layer_norm, "
              "vocab_projector!E?~, vocab_projector+b!E",
      .alias = MG_ALIAS_GAMMA },
    { .architectures = "DistilBertForSequenceClassification",
      .model_type = "distilbert",
      .pre = "distilbert.embeddings.{position_embeddings, "
             "word_embeddings!E, LayerNorm+b@, LayerNorm@}",
      .layer_prefix = "distilbert.transformer.layer.N.",
      .layer = "attention.{k_lin(+b), q_lin(+b), v_lin(+b), out_lin(+b)}, "
               "sa_layer_norm+b, sa_layer_norm, ffn.{lin1(+b), lin2(+b)}, "
               "output_layer_norm+b, output_layer_norm",
      .post = "classifier+b, classifier, pre_classifier+b, pre_classifier",
      .alias = MG_ALIAS_GAMMA },
    { .architectures = "DistilBertForTokenClassification",
      .model_type = "distilbert",
      .pre = "distilbert.embeddings.{position_embeddings, "
             "word_embeddings!E, LayerNorm+b@, LayerNorm@}",
      .layer_prefix = "distilbert.transformer.layer.N.",
      .layer = "attention.{k_lin(+b), q_lin(+b), v_lin(+b), out_lin(+b)}, "
               "sa_layer_norm+b, sa_layer_norm, ffn.{lin1(+b), lin2(+b)}, "
               "output_layer_norm+b, output_layer_norm",
      .post = "classifier+b, classifier",
      .alias = MG_ALIAS_GAMMA },
    { .architectures = "DistilBertModel",
      .model_type = "distilbert",
      .pre = "distilbert.embeddings.{position_embeddings, "
             "word_embeddings!E, LayerNorm+b@, LayerNorm@}",
      .layer_prefix = "distilbert.transformer.layer.N.",
      .layer = "attention.{k_lin(+b), q_lin(+b), v_lin(+b), out_lin(+b)}, "
               "sa_layer_norm+b, sa_layer_norm, ffn.{lin1(+b), lin2(+b)}, "
               "output_layer_norm+b, output_layer_norm",
      .alias = MG_ALIAS_GAMMA },
    { .architectures = "ExaoneForCausalLM",
      .model_type = "exaone",
      .pre = "transformer.wte!E",
      .layer_prefix = "transformer.h.N.",
      .layer = "ln_1, attn.attention.{q_proj, k_proj, v_proj, out_proj}, "
               "ln_2, mlp.{c_fc_0, c_fc_1, c_proj}",
      .post = "transformer.ln_f, lm_head!E" },
    { .architectures = "FalconForCausalLM",
      .model_type = "falcon",
      .pre = "transformer.word_embeddings!E",
      .layer_prefix = "transformer.h.N.",
      .layer = "ln_attn+b, ln_attn, ln_mlp+b, ln_mlp, mlp.{dense_4h_to_h, "
               "dense_h_to_4h}, self_attention.{dense, query_key_value}",
      .post = "transformer.ln_f(+b), lm_head!E" },
    { .architectures = "GemmaForCausalLM",
      .model_type = "gemma",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm, self_attn.{q_proj, k_proj, v_proj, o_proj}, "
               "post_attention_layernorm, mlp.{up_proj, gate_proj, "
               "down_proj}",
      .post = "model.norm" },
    { .architectures = "Gemma2ForCausalLM",
      .model_type = "gemma2",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm, self_attn.{q_proj, k_proj, v_proj, o_proj}, "
               "post_attention_layernorm, pre_feedforward_layernorm, "
               "mlp.{up_proj, gate_proj, down_proj}, "
               "post_feedforward_layernorm",
      .post = "model.norm, lm_head!E?~" },
    { .architectures = "Gemma3ForCausalLM",
      .model_type = "gemma3_text",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm, self_attn.{q_proj, q_norm, k_proj, k_norm, "
               "v_proj, o_proj}, post_attention_layernorm, "
               "pre_feedforward_layernorm, mlp.{up_proj, gate_proj, "
               "down_proj}, post_feedforward_layernorm",
      .post = "model.norm, lm_head!E?~" },
    { .architectures = "Gemma3ForConditionalGeneration",
      .model_type = "gemma3",
      .vocab_key = "text_config.vocab_size",
      .tagalong = "preprocessor_config.json processor_config.json",
      .module = "text_decoder",
      .prefix = "language_model.",
      .layer_count_key = "text_config.num_hidden_layers",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm, post_attention_layernorm, "
               "pre_feedforward_layernorm, post_feedforward_layernorm, "
               "self_attn.{q_proj, q_norm, k_proj, k_norm, v_proj, o_proj}, "
               "mlp.{up_proj, gate_proj, down_proj}",
      .post = "model.norm, lm_head!E?~" },
    { .module = "multi_modal_projector",
      .prefix = "multi_modal_projector.",
      .fixed = true,
      .pre = "=mm_input_projection_weight, mm_soft_emb_norm" },
    { .module = "vision_tower",
      .prefix = "vision_tower.vision_model.",
      .layer_count_key = "vision_config.num_hidden_layers",
      .pre = "embeddings.patch_embedding(+b), embeddings.position_embedding",
      .layer_prefix = "encoder.layers.N.",
      .layer = "layer_norm1(+b), layer_norm2(+b), mlp.{fc1(+b), fc2(+b)}, "
               "self_attn.{k_proj(+b), out_proj(+b), q_proj(+b), v_proj(+b)}",
      .post = "post_layernorm(+b)" },
    { .architectures = "Glm4ForCausalLM",
      .model_type = "glm4",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm, mlp.{down_proj, gate_up_proj}, "
               "post_attention_layernorm, post_mlp_layernorm, "
               "post_self_attn_layernorm, self_attn.{q_proj, q_proj+b?, "
               "k_proj, k_proj+b?, v_proj, v_proj+b?, o_proj}",
      .post = "model.norm, lm_head!E?~" },
    { .architectures = "Glm4MoeForCausalLM",
      .model_type = "glm4_moe",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm, mlp.{down_proj, gate_proj, up_proj}, "
               "post_attention_layernorm, self_attn.{q_norm?, k_norm?, "
               "q_proj, q_proj+b?, k_proj, k_proj+b?, v_proj, v_proj+b?, "
               "o_proj}",
      .post = "model.norm, lm_head!E?~" },
    { .architectures = "GPTNeoXForCausalLM",
      .model_type = "gpt_neox",
      .pre = "gpt_neox.embed_in!E",
      .layer_prefix = "gpt_neox.layers.N.",
      .layer = "attention.{dense(+b), query_key_value(+b)}, "
               "input_layernorm(+b), mlp.{dense_4h_to_h(+b), "
               "dense_h_to_4h(+b)}, post_attention_layernorm(+b), "
               "attention+b?, =attention.masked_bias?, "
               "=attention.rotary_emb.inv_freq?",
      .post = "gpt_neox.final_layer_norm(+b), embed_out!E" },
    { .architectures = "GPT2ForSequenceClassification",
      .model_type = "gpt2",
      .layer_count_key = "n_layer",
      .pre = "transformer.wte!E, transformer.wpe",
      .layer_prefix = "transformer.h.N.",
      .layer = "attn.{c_attn(+b), c_proj(+b)}, ln_1(+b), ln_2(+b), "
               "mlp.{c_proj(+b), c_fc(+b)}",
      .post = "transformer.ln_f(+b), score" },
    { .architectures = "GPT2LMHeadModel",
      .model_type = "gpt2",
      .layer_count_key = "n_layer",
      .pre = "transformer.wte!E@, transformer.wpe@",
      .layer_prefix = "transformer.h.N.",
      .layer = "attn.{c_attn(+b)@, c_proj(+b)@}, ln_1(+b)@, ln_2(+b)@, "
               "mlp.{c_proj(+b)@, c_fc(+b)@}",
      .post = "transformer.ln_f(+b)@, lm_head!E?~",
      .tied = "transformer.wte.weight wte.weight",
      .alias = MG_ALIAS_GPT2 },
    { .architectures = "GPTBigCodeForCausalLM",
      .model_type = "gpt_bigcode",
      .layer_count_key = "n_layer",
      .pre = "transformer.wte!E, transformer.wpe",
      .layer_prefix = "transformer.h.N.",
      .layer = "attn.{c_attn(+b), c_proj(+b)}, ln_1(+b), ln_2(+b), "
               "mlp.{c_proj(+b), c_fc(+b)}",
      .post = "transformer.ln_f(+b), lm_head!E?~" },
    { .architectures = "GraniteForCausalLM",
      .model_type = "granite",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm, self_attn.{q_proj, q_proj+b?, k_proj, "
               "k_proj+b?, v_proj, v_proj+b?, o_proj, o_proj+b?}, "
               "post_attention_layernorm, mlp.{gate_proj, gate_proj+b?, "
               "up_proj, up_proj+b?, down_proj, down_proj+b?}",
      .post = "model.norm, lm_head!E?~" },
    { .architectures = "GraniteMoeHybridForCausalLM",
      .model_type = "granitemoehybrid",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm, shared_mlp.{input_linear, output_linear}, "
               "block_sparse_moe.input_linear, "
               "block_sparse_moe.router.layer, "
               "block_sparse_moe.output_linear, post_attention_layernorm, "
               "self_attn.{k_proj?, o_proj?, q_proj?, v_proj?}, "
               "=mamba.A_log?, mamba.{conv1d+b?, conv1d?}, =mamba.D?, "
               "=mamba.dt_bias?, mamba.{in_proj?, norm?, out_proj?}",
      .post = "model.norm, lm_head!E?~" },
    { .architectures = "InternLM2ForCausalLM",
      .model_type = "internlm2",
      .pre = "model.tok_embeddings!E",
      .layer_prefix = "model.layers.N.",
      .layer = "attention_norm, ffn_norm, attention.{wqkv, wo}, "
               "feed_forward.{w1, w2, w3}",
      .post = "model.norm, output!E?~" },
    { .architectures = "JAISLMHeadModel",
      .model_type = "jais",
      .layer_count_key = "n_layer",
      .pre = "transformer.wte!E, =transformer.relative_pe.slopes",
      .layer_prefix = "transformer.h.N.",
      .layer = "attn.{c_attn(+b), c_proj(+b)}, ln_1(+b), ln_2(+b), "
               "mlp.{c_fc(+b), c_fc2(+b), c_proj(+b)}",
      .post = "transformer.ln_f(+b)" },
    { .architectures = "Lfm2ForCausalLM",
      .model_type = "lfm2",
      .pre = "model.embed_tokens!E, model.embedding_norm",
      .layer_prefix = "model.layers.N.",
      .layer = "feed_forward.{w1, w2, w3}, ffn_norm, operator_norm, "
               "conv.{conv?, in_proj?, out_proj?}, self_attn.{k_layernorm?, "
               "k_proj?, out_proj?, q_layernorm?, q_proj?, v_proj?}",
      .post = "lm_head!E?" },
    { .architectures = "LlamaForSequenceClassification",
      .model_type = "llama",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm, self_attn.{q_proj, k_proj, v_proj, o_proj}, "
               "post_attention_layernorm, mlp.{up_proj, gate_proj, "
               "down_proj}",
      .post = "model.norm, score, score+b?" },
    { .architectures = "LlamaForCausalLM LLaMaForCausalLM",
      .model_type = "llama",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm, self_attn.{q_proj, q_proj+b?, k_proj, "
               "k_proj+b?, v_proj, v_proj+b?, o_proj, o_proj+b?}, "
               "post_attention_layernorm, mlp.{up_proj, up_proj+b?, "
               "gate_proj, gate_proj+b?, down_proj, down_proj+b?}",
      .post = "model.norm, lm_head!E?~" },
    { .architectures = "Llama4ForConditionalGeneration",
      .model_type = "llama4",
      .vocab_key = "text_config.vocab_size",
      .tagalong = "preprocessor_config.json processor_config.json",
      .module = "text_decoder",
      .prefix = "language_model.",
      .layer_count_key = "text_config.num_hidden_layers",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm, post_attention_layernorm, self_attn.{q_proj, "
               "k_proj, v_proj, o_proj}, "
               "feed_forward.shared_expert.{down_proj?, gate_proj?, up_proj?}, "
               "=feed_forward.experts.down_proj?, "
               "=feed_forward.experts.gate_up_proj?, feed_forward.{router?, "
               "down_proj?, gate_proj?, up_proj?}",
      .post = "model.norm, lm_head!E?~" },
    { .module = "multi_modal_projector",
      .prefix = "multi_modal_projector.",
      .fixed = true,
      .pre = "linear_1" },
    { .module = "vision_model",
      .prefix = "vision_model.",
      .layer_count_key = "vision_config.num_hidden_layers",
      .pre = "=class_embedding, patch_embedding.linear, "
             "=positional_embedding_vlm, layernorm_pre(+b)",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm(+b), post_attention_layernorm(+b), "
               "mlp.{fc1(+b), fc2(+b)}, self_attn.{k_proj(+b), o_proj(+b), "
               "q_proj(+b), v_proj(+b)}",
      .post = "layernorm_post(+b), vision_adapter.mlp.fc1, "
              "vision_adapter.mlp.fc2" },
    { .architectures = "MambaForCausalLM",
      .model_type = "mamba",
      .pre = "backbone.embeddings!E",
      .layer_prefix = "backbone.layers.N.",
      .layer = "=mixer.A_log, mixer.{conv1d+b, conv1d}, =mixer.D, "
               "mixer.{dt_proj+b, dt_proj, in_proj, out_proj, x_proj}, norm",
      .post = "backbone.norm_f, lm_head!E?~" },
    { .architectures = "MistralForCausalLM",
      .model_type = "mistral",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm, self_attn.{q_proj, k_proj, v_proj, o_proj}, "
               "post_attention_layernorm, mlp.{up_proj, gate_proj, "
               "down_proj}",
      .post = "model.norm, lm_head!E?~" },
    { .architectures = "Mistral3ForConditionalGeneration",
      .model_type = "mistral3",
      .vocab_key = "text_config.vocab_size",
      .tagalong = "preprocessor_config.json processor_config.json",
      .module = "text_decoder",
      .prefix = "language_model.",
      .layer_count_key = "text_config.num_hidden_layers",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm, post_attention_layernorm, self_attn.{q_proj, "
               "k_proj, v_proj, o_proj}, mlp.{up_proj, gate_proj, down_proj}",
      .post = "model.norm, lm_head!E?~" },
    { .module = "multi_modal_projector",
      .prefix = "multi_modal_projector.",
      .fixed = true,
      .pre = "linear_1, linear_2, norm, patch_merger.merging_layer" },
    { .module = "vision_tower",
      .prefix = "vision_tower.",
      .layer_count_key = "vision_config.num_hidden_layers",
      .pre = "patch_conv, ln_pre",
      .layer_prefix = "transformer.layers.N.",
      .layer = "ffn_norm, attention_norm, feed_forward.{down_proj, gate_proj, "
               "up_proj}, attention.{k_proj, o_proj, q_proj, v_proj}" },
    { .architectures = "MixtralForCausalLM",
      .model_type = "mixtral",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm, self_attn.{q_proj, k_proj, v_proj, o_proj}, "
               "post_attention_layernorm, =mlp.experts.gate_up_proj, "
               "=mlp.experts.down_proj, mlp.gate",
      .post = "model.norm, lm_head!E?~" },
    { .architectures = "Olmo2ForCausalLM",
      .model_type = "olmo2",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "self_attn.{q_proj, q_norm, k_proj, k_norm, v_proj, o_proj}, "
               "post_attention_layernorm, mlp.{up_proj, gate_proj, "
               "down_proj}, post_feedforward_layernorm",
      .post = "model.norm, lm_head!E?~" },
    { .architectures = "MixFormerSequentialForCausalLM",
      .model_type = "mixformer-sequential",
      .layer_count_key = "n_layer",
      .pre = "layers.0.wte!E",
      .layer_prefix = "layers.N.",
      .layer = "ln+b, ln, mixer.{Wqkv+b, Wqkv, out_proj+b, out_proj}, "
               "=mixer.rotary_emb.inv_freq, mlp.{fc1+b, fc1, fc2+b, fc2}",
      .post = "layers.L.linear!E, layers.L.linear+b!E, layers.L.ln(+b)" },
    { .architectures = "PhiForCausalLM",
      .model_type = "phi-msft",
      .layer_count_key = "n_layer",
      .pre = "transformer.embd.wte!E",
      .layer_prefix = "transformer.h.N.",
      .layer = "ln+b, ln, mixer.{out_proj+b, out_proj, Wqkv+b, Wqkv}, "
               "mlp.{fc1+b, fc1, fc2+b, fc2}",
      .post = "lm_head.linear+b!E, lm_head.linear!E, lm_head.ln(+b)" },
    { .architectures = "PhiForCausalLM",
      .model_type = "phi",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm+b, input_layernorm, self_attn.{dense+b, "
               "dense, q_proj+b, q_proj, k_proj+b, k_proj, v_proj+b, "
               "v_proj}, mlp.{fc1+b, fc1, fc2+b, fc2}",
      .post = "lm_head+b!E, lm_head!E, model.final_layernorm(+b)" },
    { .architectures = "Phi3SmallForCausalLM",
      .model_type = "phi3small",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm(+b), post_attention_layernorm(+b), "
               "self_attn.{dense(+b), query_key_value(+b)}, mlp.{up_proj(+b), "
               "down_proj(+b)}",
      .post = "lm_head!E?~, model.final_layernorm(+b)" },
    { .architectures = "Phi3ForCausalLM",
      .model_type = "phi3",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm, post_attention_layernorm, self_attn.{o_proj, "
               "qkv_proj}, mlp.{gate_up_proj, down_proj}",
      .post = "lm_head!E?~, model.norm" },
    { .architectures = "QWenLMHeadModel",
      .model_type = "qwen",
      .pre = "transformer.wte!E",
      .layer_prefix = "transformer.h.N.",
      .layer = "attn.{c_attn+b, c_attn, c_proj}, ln_1, ln_2, mlp.{c_proj, "
               "w1, w2}",
      .post = "transformer.ln_f, lm_head!E" },
    { .architectures = "Qwen2ForCausalLM",
      .model_type = "qwen2",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm, mlp.{down_proj, gate_proj, up_proj}, "
               "post_attention_layernorm, self_attn.{k_proj+b, k_proj, "
               "o_proj, q_proj+b, q_proj, v_proj+b, v_proj}",
      .post = "model.norm, lm_head!E?~" },
    { .architectures = "Qwen2_5_VLForConditionalGeneration",
      .model_type = "qwen2_5_vl",
      .tagalong = "preprocessor_config.json vocab.json",
      .module = "text_decoder",
      .layer_count_key = "text_config.num_hidden_layers",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm, post_attention_layernorm, mlp.{down_proj, "
               "gate_proj, up_proj}, self_attn.{k_proj(+b), o_proj, "
               "q_proj(+b), v_proj(+b)}",
      .post = "model.norm, lm_head!E?~" },
    { .module = "multi_modal_projector",
      .fixed = true,
      .fixed_layer_count = 2,
      .pre = "visual.merger.ln_q",
      .layer_prefix = "visual.merger.mlp.",
      .layer = "0(+b), 2(+b)" },
    { .module = "vision_tower",
      .layer_count_key = "vision_config.depth",
      .pre = "visual.patch_embed.proj",
      .layer_prefix = "visual.blocks.N.",
      .layer = "attn.{proj(+b), qkv(+b)}, mlp.{down_proj(+b), gate_proj(+b), "
               "up_proj(+b)}, norm1, norm2" },
    { .architectures = "Qwen2VLForConditionalGeneration",
      .model_type = "qwen2_vl",
      .tagalong = "preprocessor_config.json vocab.json",
      .module = "text_decoder",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm, post_attention_layernorm, mlp.{down_proj, "
               "gate_proj, up_proj}, self_attn.{k_proj(+b), o_proj, "
               "q_proj(+b), v_proj(+b)}",
      .post = "model.norm, lm_head!E?~" },
    { .module = "multi_modal_projector",
      .fixed = true,
      .fixed_layer_count = 2,
      .pre = "visual.merger.ln_q(+b)",
      .layer_prefix = "visual.merger.mlp.",
      .layer = "0(+b), 2(+b)" },
    { .module = "vision_tower",
      .layer_count_key = "vision_config.depth",
      .pre = "visual.patch_embed.proj",
      .layer_prefix = "visual.blocks.N.",
      .layer = "norm1(+b), norm2(+b), attn.{qkv(+b), proj(+b)}, mlp.{fc1(+b), "
               "fc2(+b)}" },
    { .architectures = "Qwen3ForCausalLM",
      .model_type = "qwen3",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm, mlp.{down_proj, gate_proj, up_proj}, "
               "post_attention_layernorm, self_attn.{k_norm, k_proj, "
               "k_proj+b?, q_norm, q_proj, q_proj+b?, v_proj, v_proj+b?, "
               "o_proj, o_proj+b?}",
      .post = "model.norm, lm_head!E?~" },
    { .architectures = "Qwen3MoeForCausalLM",
      .model_type = "qwen3_moe",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm, =mlp.experts.down_proj, "
               "=mlp.experts.gate_up_proj, mlp.gate, "
               "post_attention_layernorm, self_attn.{k_norm, k_proj, q_norm, "
               "q_proj, v_proj, o_proj}",
      .post = "model.norm, lm_head!E?~" },
    { .architectures = "Qwen3VLMoeForConditionalGeneration",
      .model_type = "qwen3_vl_moe",
      .tagalong = "preprocessor_config.json vocab.json",
      .module = "text_decoder",
      .layer_count_key = "text_config.num_hidden_layers",
      .pre = "model.language_model.embed_tokens!E",
      .layer_prefix = "model.language_model.layers.N.",
      .layer = "input_layernorm, post_attention_layernorm, "
               "=mlp.experts.down_proj, =mlp.experts.gate_up_proj, mlp.gate, "
               "self_attn.{k_norm, k_proj, q_norm, q_proj, v_proj, o_proj}",
      .post = "model.language_model.norm, lm_head!E?~" },
    { .module = "multi_modal_projector",
      .fixed = true,
      .fixed_layer_count = 3,
      .pre = "model.visual.merger.norm(+b), "
             "model.visual.merger.linear_fc1(+b), "
             "model.visual.merger.linear_fc2(+b)",
      .layer_prefix = "model.visual.deepstack_merger_list.N.",
      .layer = "norm(+b), linear_fc1(+b), linear_fc2(+b)" },
    { .module = "vision_tower",
      .layer_count_key = "vision_config.depth",
      .pre = "model.visual.patch_embed.proj, model.visual.patch_embed.proj+b, "
             "model.visual.pos_embed",
      .layer_prefix = "model.visual.blocks.N.",
      .layer = "norm1(+b), norm2(+b), attn.{qkv(+b), proj(+b)}, "
               "mlp.{linear_fc1(+b), linear_fc2(+b)}" },
    { .architectures = "Qwen3VLForConditionalGeneration",
      .model_type = "qwen3_vl",
      .vocab_key = "text_config.vocab_size",
      .tagalong = "preprocessor_config.json vocab.json",
      .module = "text_decoder",
      .layer_count_key = "text_config.num_hidden_layers",
      .pre = "model.language_model.embed_tokens!E",
      .layer_prefix = "model.language_model.layers.N.",
      .layer = "input_layernorm, post_attention_layernorm, mlp.{down_proj, "
               "gate_proj, up_proj}, self_attn.{k_norm, k_proj, o_proj, "
               "q_norm, q_proj, v_proj}",
      .post = "model.language_model.norm, lm_head!E?~" },
    { .module = "multi_modal_projector",
      .fixed = true,
      .fixed_layer_count = 3,
      .pre = "model.visual.merger.norm(+b), "
             "model.visual.merger.linear_fc1(+b), "
             "model.visual.merger.linear_fc2(+b)",
      .layer_prefix = "model.visual.deepstack_merger_list.N.",
      .layer = "norm(+b), linear_fc1(+b), linear_fc2(+b)" },
    { .module = "vision_tower",
      .layer_count_key = "vision_config.depth",
      .pre = "model.visual.patch_embed.proj, model.visual.patch_embed.proj+b, "
             "model.visual.pos_embed",
      .layer_prefix = "model.visual.blocks.N.",
      .layer = "norm1(+b), norm2(+b), attn.{qkv(+b), proj(+b)}, "
               "mlp.{linear_fc1(+b), linear_fc2(+b)}" },
    { .architectures = "RobertaForMaskedLM",
      .model_type = "roberta",
      .pre = "roberta.embeddings.position_embeddings, "
             "roberta.embeddings.word_embeddings!E, "
             "roberta.embeddings.token_type_embeddings, "
             "roberta.embeddings.LayerNorm(+b), "
             "=roberta.embeddings.position_ids?#i64",
      .layer_prefix = "roberta.encoder.layer.N.",
      .layer = "attention.output.{dense(+b), LayerNorm(+b)}, "
               "attention.self.{query(+b), key(+b), value(+b)}, "
               "intermediate.dense(+b), output.{dense(+b), LayerNorm(+b)}",
      .post = "lm_head+b!E, lm_head.dense(+b), lm_head.layer_norm(+b), "
              "lm_head.decoder!E?~" },
    { .architectures = "RobertaForSequenceClassification",
      .model_type = "roberta",
      .pre = "roberta.embeddings.position_embeddings, "
             "roberta.embeddings.word_embeddings!E, "
             "roberta.embeddings.token_type_embeddings, "
             "roberta.embeddings.LayerNorm(+b), "
             "=roberta.embeddings.position_ids?#i64",
      .layer_prefix = "roberta.encoder.layer.N.",
      .layer = "attention.output.{dense(+b), LayerNorm(+b)}, "
               "attention.self.{query(+b), key(+b), value(+b)}, "
               "intermediate.dense(+b), output.{dense(+b), LayerNorm(+b)}",
      .post = "classifier.dense(+b), classifier.out_proj(+b)" },
    { .architectures = "RobertaForTokenClassification",
      .model_type = "roberta",
      .pre = "roberta.embeddings.position_embeddings, "
             "roberta.embeddings.word_embeddings!E, "
             "roberta.embeddings.token_type_embeddings, "
             "roberta.embeddings.LayerNorm(+b), "
             "=roberta.embeddings.position_ids?#i64",
      .layer_prefix = "roberta.encoder.layer.N.",
      .layer = "attention.output.{dense(+b), LayerNorm(+b)}, "
               "attention.self.{query(+b), key(+b), value(+b)}, "
               "intermediate.dense(+b), output.{dense(+b), LayerNorm(+b)}",
      .post = "classifier(+b)" },
    { .architectures = "RobertaModel",
      .model_type = "roberta",
      .pre = "roberta.embeddings.position_embeddings, "
             "roberta.embeddings.word_embeddings!E, "
             "roberta.embeddings.token_type_embeddings, "
             "roberta.embeddings.LayerNorm(+b), "
             "=roberta.embeddings.position_ids?#i64",
      .layer_prefix = "roberta.encoder.layer.N.",
      .layer = "attention.output.{dense(+b), LayerNorm(+b)}, "
               "attention.self.{query(+b), key(+b), value(+b)}, "
               "intermediate.dense(+b), output.{dense(+b), LayerNorm(+b)}",
      .post = "pooler.dense(+b)" },
    { .architectures = "SolarForCausalLM",
      .model_type = "solar",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm, self_attn.{k_proj, q_proj, v_proj, o_proj}, "
               "post_attention_layernorm, mlp.{gate_proj, up_proj, "
               "down_proj}",
      .post = "model.norm, lm_head!E?~" },
    { .architectures = "StableLMEpochForCausalLM",
      .model_type = "stablelm_epoch",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm(+b), self_attn.{q_proj, k_proj, v_proj, "
               "o_proj}, post_attention_layernorm(+b), mlp.{up_proj, "
               "gate_proj, down_proj}",
      .post = "model.norm, model.norm+b?, lm_head!E" },
    { .architectures = "StableLmForCausalLM",
      .model_type = "stablelm",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm(+b), mlp.{down_proj, gate_proj, up_proj}, "
               "post_attention_layernorm(+b)?, self_attn.{q_proj, q_proj+b?, "
               "k_proj, k_proj+b?, v_proj, v_proj+b?, o_proj}",
      .post = "model.norm(+b), lm_head!E" },
    { .architectures = "Starcoder2ForCausalLM",
      .model_type = "starcoder2",
      .pre = "model.embed_tokens!E",
      .layer_prefix = "model.layers.N.",
      .layer = "input_layernorm+b, input_layernorm, self_attn.{q_proj+b, "
               "q_proj, k_proj+b, k_proj, v_proj+b, v_proj, o_proj+b, "
               "o_proj}, post_attention_layernorm+b, "
               "post_attention_layernorm, mlp.{c_fc+b, c_fc, c_proj+b, "
               "c_proj}",
      .post = "lm_head!E?~, model.norm(+b)" },
    { .architectures = "T5ForConditionalGeneration",
      .model_type = "t5",
      .module = "decoder",
      .layer_count_key = "num_decoder_layers",
      .pre = "decoder.embed_tokens!E?~",
      .layer_prefix = "decoder.block.N.layer.",
      .layer = "0.layer_norm, 0.SelfAttention.{q, k, v, o, "
               "relative_attention_bias?}, 1.EncDecAttention.{q, k, v, o}, "
               "1.layer_norm, 2.DenseReluDense.{wi?, wi_0?, wi_1?, wo}, "
               "2.layer_norm",
      .post = "decoder.final_layer_norm",
      .tied = "shared.weight lm_head.weight encoder.embed_tokens.weight" },
    { .module = "encoder",
      .pre = "encoder.embed_tokens!E?~",
      .layer_prefix = "encoder.block.N.layer.",
      .layer = "0.layer_norm, 0.SelfAttention.{q, k, v, o, "
               "relative_attention_bias?}, 1.DenseReluDense.{wi?, wi_0?, "
               "wi_1?, wo}, 1.layer_norm",
      .post = "encoder.final_layer_norm",
      .tied = "shared.weight lm_head.weight decoder.embed_tokens.weight" },
    { .module = "shared",
      .fixed = true,
      .pre = "shared!E",
      .post = "lm_head!E?~",
      .tied = "shared.weight encoder.embed_tokens.weight decoder.embed_tokens.weight" },
    { .architectures = "WhisperForConditionalGeneration",
      .model_type = "whisper",
      .tagalong = "preprocessor_config.json normalizer.json",
      .module = "decoder",
      .prefix = "model.decoder.",
      .layer_count_key = "decoder_layers",
      .pre = "embed_tokens!E, embed_positions",
      .layer_prefix = "layers.N.",
      .layer = "encoder_attn.{k_proj, out_proj(+b), q_proj(+b), v_proj(+b)}, "
               "encoder_attn_layer_norm(+b), fc1(+b), fc2(+b), "
               "final_layer_norm(+b), self_attn_layer_norm(+b), "
               "self_attn.{k_proj, out_proj(+b), q_proj(+b), v_proj(+b)}",
      .post = "layer_norm(+b)" },
    { .module = "encoder",
      .prefix = "model.encoder.",
      .layer_count_key = "encoder_layers",
      .pre = "embed_positions, conv1(+b), conv2(+b)",
      .layer_prefix = "layers.N.",
      .layer = "fc1(+b), fc2(+b), final_layer_norm(+b), "
               "self_attn_layer_norm(+b), self_attn.{k_proj, out_proj(+b), "
               "q_proj(+b), v_proj(+b)}",
      .post = "layer_norm(+b)" },
};
/* clang-format on */

const int64_t mg_layout_row_count = MG_ARRAY_COUNT(mg_layout_rows);
