"""Repositories as transformers, peft, sentence-transformers and diffusers write them: tiny models of many families."""

import json
import os
import sys
import warnings
from pathlib import Path

OUT = Path(sys.argv[1])
os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "error"}
warnings.simplefilter("ignore")

import torch
import transformers as t
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

torch.manual_seed(0)
TEXTS = ["The quick brown fox jumps over the lazy dog.", "Füße, naïve café, 東京, привет!", "def add(a, b):\n    return a + b"] * 20
SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
TEXT = {**SIZES, "vocab_size": 400, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
GROUPED = {**TEXT, "num_key_value_heads": 1}
VISION = {**SIZES, "image_size": 32, "patch_size": 8}
LAYERS = {
    "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "vocab_size": 400, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2, "decoder_start_token_id": 1,
}  # fmt: skip
EXPERTS = {"num_experts_per_tok": 2}

CHATML = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- "# Tools\\n\\nYou are provided with function signatures within <tools></tools> XML tags:\\n<tools>" }}
    {%- for tool in tools %}{{- "\\n" }}{{- tool | tojson }}{%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}{%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role in ['user', 'system'] %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}{%- set reasoning_content = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- for tool_call in message.tool_calls or [] %}
            {%- if tool_call.function %}{%- set tool_call = tool_call.function %}{%- endif %}
            {{- '<tool_call>\\n{"name": "' ~ tool_call.name ~ '", "arguments": ' }}
            {{- tool_call.arguments if tool_call.arguments is string else tool_call.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}"""
CARD = """---
license: apache-2.0
language: [en]
library_name: {library}
pipeline_tag: text-generation
base_model: ordinary/{name}-base
datasets:
- HuggingFaceH4/ultrachat_200k
tags: [chat, {name}]
widget:
- text: "Hello, my dog is"
---
# {name}

```python
import os
from transformers import AutoModelForCausalLM, AutoTokenizer

os.environ["TOKENIZERS_PARALLELISM"] = "false"
model = AutoModelForCausalLM.from_pretrained("ordinary/{name}", torch_dtype="auto", device_map="auto")
```

```sh
pip install -U transformers && curl -L https://huggingface.co/ordinary/{name}/resolve/main/config.json
```
"""
ATTRIBUTES = "*.bin filter=lfs diff=lfs merge=lfs -text\n*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<mask>", "<|im_start|>", "<|im_end|>", "<image>"]


def byte_level():
    """A tokenizer like GPT-2's and Llama 3's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def word_pieces():
    """A tokenizer like BERT's."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special))
    return tokenizer


def unigram():
    """A tokenizer like T5's."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace("``", '"'), normalizers.NFKD()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(TEXTS, trainers.UnigramTrainer(vocab_size=120, special_tokens=SPECIAL, unk_token="<unk>"))
    return tokenizer


NAMES = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
chat = t.PreTrainedTokenizerFast(
    tokenizer_object=byte_level(), **NAMES, additional_special_tokens=["<|im_start|>", "<|im_end|>"],
    model_max_length=64, padding_side="left", clean_up_tokenization_spaces=False,
)  # fmt: skip
chat.chat_template = CHATML
bert = t.PreTrainedTokenizerFast(
    tokenizer_object=word_pieces(), pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]"
)
t5 = t.PreTrainedTokenizerFast(tokenizer_object=unigram(), **NAMES)


def repository(name, model, *parts, library="transformers", **options):
    """Save a model with what lies beside one."""
    folder = OUT / name
    model.save_pretrained(folder, **options)
    for part in parts:
        part.save_pretrained(folder)
    (folder / "README.md").write_text(CARD.format(name=name, library=library))
    (folder / ".gitattributes").write_text(ATTRIBUTES)
    return folder


deepseek = t.DeepseekV3Config(
    **TEXT, **EXPERTS, num_key_value_heads=2, n_routed_experts=4, n_group=1, topk_group=1, moe_intermediate_size=16,
    q_lora_rank=8, kv_lora_rank=8, qk_rope_head_dim=4, v_head_dim=4, qk_nope_head_dim=4,
)  # fmt: skip
causal = {
    "gpt2": t.GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=400, n_positions=64, bos_token_id=1, eos_token_id=2),
    "llama": t.LlamaConfig(**GROUPED, rope_theta=5e5),
    "mistral": t.MistralConfig(**GROUPED),
    "qwen2": t.Qwen2Config(**GROUPED),
    "qwen3": t.Qwen3Config(**GROUPED, head_dim=8),
    "qwen3-moe": t.Qwen3MoeConfig(**GROUPED, **EXPERTS, num_experts=4, moe_intermediate_size=16),
    "gemma2": t.Gemma2Config(**GROUPED, head_dim=8),
    "gemma3": t.Gemma3TextConfig(**GROUPED, head_dim=8),
    "phi3": t.Phi3Config(**GROUPED),
    "mixtral": t.MixtralConfig(**GROUPED, num_local_experts=4),
    "deepseek": deepseek,
    "gpt-oss": t.GptOssConfig(**GROUPED, **EXPERTS, head_dim=8, num_local_experts=4),
    "falcon": t.FalconConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, vocab_size=400),
    "mamba": t.MambaConfig(hidden_size=16, num_hidden_layers=2, vocab_size=400, state_size=4),
}
for name, config in causal.items():
    model = t.AutoModelForCausalLM.from_config(config)
    model.generation_config = t.GenerationConfig(do_sample=True, temperature=0.7, top_p=0.9, eos_token_id=[2], pad_token_id=0)
    repository(name, model, chat)

images = t.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32) if hasattr(t, "CLIPImageProcessor") else None
vits = t.ViTImageProcessor(size={"height": 32, "width": 32})
audio = {k: v for k, v in TEXT.items() if k != "max_position_embeddings"}
convolutions = {"conv_dim": (8, 8), "conv_stride": (5, 2), "conv_kernel": (10, 3), "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2}
clip = t.CLIPConfig(text_config={**TEXT, "projection_dim": 16}, vision_config={**VISION, "projection_dim": 16}, projection_dim=16)
repository("bert", t.BertForSequenceClassification(t.BertConfig(**TEXT, id2label={0: "NEG", 1: "POS"}, label2id={"NEG": 0, "POS": 1})), bert)
repository("roberta", t.RobertaForMaskedLM(t.RobertaConfig(**TEXT)), chat)
repository("distilbert", t.DistilBertForTokenClassification(t.DistilBertConfig(dim=16, hidden_dim=32, n_layers=2, n_heads=2, vocab_size=400)), bert)
repository("deberta", t.DebertaV2Model(t.DebertaV2Config(**TEXT)), t5)
repository("modernbert", t.ModernBertForMaskedLM(t.ModernBertConfig(**TEXT, cls_token_id=3, sep_token_id=4)), bert)
repository("t5", t.T5ForConditionalGeneration(t.T5Config(d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, vocab_size=400)), t5)
repository("bart", t.BartForConditionalGeneration(t.BartConfig(**LAYERS, max_position_embeddings=64)), chat)
whisper = t.WhisperConfig(**LAYERS, max_source_positions=32, max_target_positions=32, num_mel_bins=8)
repository("whisper", t.WhisperForConditionalGeneration(whisper), chat, t.WhisperFeatureExtractor(feature_size=8))
repository("wav2vec2", t.Wav2Vec2ForCTC(t.Wav2Vec2Config(**audio, **convolutions)), t.Wav2Vec2FeatureExtractor())
repository("vit", t.ViTForImageClassification(t.ViTConfig(**VISION)), vits)
repository("dinov2", t.Dinov2Model(t.Dinov2Config(**VISION)))
repository("clip", t.CLIPModel(clip), chat, *([images] if images else []))
repository("siglip", t.SiglipModel(t.SiglipConfig(text_config=TEXT, vision_config=VISION)), t5)
llava = t.LlavaConfig(text_config=t.LlamaConfig(**GROUPED), vision_config=t.CLIPVisionConfig(**VISION), image_token_id=7)
repository("llava", t.LlavaForConditionalGeneration(llava), chat, *([images] if images else []))
processor = t.LlavaProcessor(image_processor=images, tokenizer=chat, patch_size=8, vision_feature_select_strategy="default", chat_template=CHATML)
processor.save_pretrained(OUT / "llava-processor")

# Several shards, the way of today and the way of before.
small = t.AutoModelForCausalLM.from_config(causal["llama"])
repository("sharded", small, chat, max_shard_size="10KB")
folder = OUT / "sharded-bin"
folder.mkdir()
small.config.save_pretrained(folder)
chat.save_pretrained(folder)
state, half = small.state_dict(), len(small.state_dict()) // 2
shards = [dict(list(state.items())[:half]), dict(list(state.items())[half:])]
index = {"metadata": {"total_size": sum(x.nbytes for x in state.values())}, "weight_map": {}}
for number, shard in enumerate(shards, 1):
    name = f"pytorch_model-{number:05}-of-00002.bin"
    torch.save(shard, folder / name)
    index["weight_map"] |= dict.fromkeys(shard, name)
(folder / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2))
for dtype in ("bfloat16", "float16"):
    repository(f"llama-{dtype}", t.AutoModelForCausalLM.from_config(causal["llama"], dtype=getattr(torch, dtype)), chat)

# Files of slow tokenizers: vocabularies, merges, sentencepiece.
import sentencepiece

folder = OUT / "sentencepiece"
folder.mkdir()
(folder.parent / "corpus.txt").write_text("\n".join(TEXTS))
for kind in ("bpe", "unigram"):
    sentencepiece.SentencePieceTrainer.train(
        input=str(OUT / "corpus.txt"), model_prefix=str(folder / kind), vocab_size=55, model_type=kind, hard_vocab_limit=False, minloglevel=2
    )
(folder / "vocab.json").write_text(json.dumps(chat.get_vocab(), ensure_ascii=False))
(folder / "merges.txt").write_text("#version: 0.2\nt h\nth e\n")
(folder / "vocab.txt").write_text("\n".join(sorted(bert.get_vocab())))

# A training run of two steps, with all that it leaves.
rows = [{"input_ids": [1, 5, 6, 2], "labels": [1, 5, 6, 2]} for _ in range(4)]
arguments = t.TrainingArguments(
    output_dir=str(OUT / "trained"), max_steps=2, save_steps=1, per_device_train_batch_size=2, report_to=[], use_cpu=True,
    logging_steps=1, disable_tqdm=True, lr_scheduler_type="cosine", warmup_steps=1,
)  # fmt: skip
trainer = t.Trainer(model=small, args=arguments, train_dataset=rows, processing_class=chat)
trainer.train()
trainer.save_model()
trainer.save_state()
trainer.save_metrics("train", {"loss": 1.0})
torch.save(t.Seq2SeqTrainingArguments(output_dir="out", report_to=[], use_cpu=True, predict_with_generate=True), OUT / "trained" / "seq2seq_args.bin")

import peft

for name, config in {
    "lora": peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
    "dora": peft.LoraConfig(r=2, target_modules="all-linear", use_dora=True, task_type="CAUSAL_LM"),
    "ia3": peft.IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]),
    "prompt": peft.PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM"),
    "prefix": peft.PrefixTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM"),
    "vera": peft.VeraConfig(r=2, target_modules=["q_proj"]),
}.items():
    wrapped = peft.get_peft_model(t.AutoModelForCausalLM.from_config(causal["llama"]), config)
    wrapped.save_pretrained(OUT / f"peft-{name}")
torch.save(peft.get_peft_model_state_dict(wrapped), OUT / "peft-vera" / "adapter_model.bin")
torch.save(wrapped, OUT / "peft-vera" / "whole.pt")

from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers import models as parts

word = parts.Transformer(str(OUT / "bert"))
width = 16
sentences = SentenceTransformer(modules=[word, parts.Pooling(width), parts.Dense(width, 8), parts.Normalize()], device="cpu")
sentences.save_pretrained(str(OUT / "sentence-transformer"))
SentenceTransformer(modules=[parts.Transformer(str(OUT / "bert")), parts.Pooling(width, pooling_mode="cls")], device="cpu").save_pretrained(
    str(OUT / "sentence-transformer-cls"), safe_serialization=False
)
CrossEncoder(str(OUT / "bert"), device="cpu").save_pretrained(str(OUT / "cross-encoder"))

import diffusers

unet = {
    "sample_size": 8, "block_out_channels": (4, 8), "norm_num_groups": 2, "cross_attention_dim": 16, "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"), "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "attention_head_dim": 2,
}  # fmt: skip
vae = {
    "block_out_channels": (4, 8), "norm_num_groups": 2, "latent_channels": 4, "sample_size": 16,
    "down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2,
}  # fmt: skip
encoder = t.CLIPTextModel(t.CLIPTextConfig(**TEXT))
clip_tokens = t.CLIPTokenizer.from_pretrained(OUT / "clip")
net = diffusers.UNet2DConditionModel(**unet)
stable = diffusers.StableDiffusionPipeline(
    vae=diffusers.AutoencoderKL(**vae), text_encoder=encoder, tokenizer=clip_tokens, unet=net,
    scheduler=diffusers.DDIMScheduler(), safety_checker=None, feature_extractor=images, requires_safety_checker=False,
)  # fmt: skip
stable.save_pretrained(OUT / "stable-diffusion")
stable.save_pretrained(OUT / "stable-diffusion-bin", safe_serialization=False)
stable.save_pretrained(OUT / "stable-diffusion-fp16", variant="fp16")
diffusers.ControlNetModel.from_unet(net).save_pretrained(OUT / "controlnet")
flux = diffusers.FluxTransformer2DModel(
    patch_size=1, in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
    joint_attention_dim=16, pooled_projection_dim=16, axes_dims_rope=(4, 4, 8),
)  # fmt: skip
diffusers.FluxPipeline(
    scheduler=diffusers.FlowMatchEulerDiscreteScheduler(), vae=diffusers.AutoencoderKL(**vae), text_encoder=encoder,
    tokenizer=clip_tokens, text_encoder_2=t.T5EncoderModel(t.T5Config(d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, vocab_size=400)),
    tokenizer_2=t5, transformer=flux,
).save_pretrained(OUT / "flux")  # fmt: skip
dit = diffusers.DiTTransformer2DModel(num_attention_heads=2, attention_head_dim=8, in_channels=4, num_layers=1, sample_size=8, norm_num_groups=2)
diffusers.DiTPipeline(transformer=dit, vae=diffusers.AutoencoderKL(**vae), scheduler=diffusers.DDIMScheduler()).save_pretrained(OUT / "dit")
diffusers.DDPMPipeline(unet=diffusers.UNet2DModel(sample_size=8, block_out_channels=(4, 8), norm_num_groups=2, down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2), scheduler=diffusers.DDPMScheduler()).save_pretrained(OUT / "ddpm")
ema = diffusers.training_utils.EMAModel(net.parameters(), model_cls=diffusers.UNet2DConditionModel, model_config=net.config)
ema.save_pretrained(OUT / "ema")
torch.save(net, OUT / "ema" / "unet-whole.pt")
torch.save({"string_to_token": {"*": 265}, "string_to_param": torch.nn.ParameterDict({"*": torch.ones(1, 16)}), "name": "style", "step": 2}, OUT / "ema" / "textual-inversion.pt")

from accelerate import Accelerator

accelerator = Accelerator(cpu=True)
layer = torch.nn.Linear(2, 2)
optimizer = torch.optim.AdamW(layer.parameters())
layer, optimizer, schedule = accelerator.prepare(layer, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 1))
accelerator.save_state(str(OUT / "accelerate"))
accelerator.save_state(str(OUT / "accelerate-bin"), safe_serialization=False)

# Whole objects, as people save them who do not know save_pretrained.
import pickle

folder = OUT / "whole"
folder.mkdir()
for name in ("bert", "gpt2", "qwen3", "t5", "vit", "whisper", "clip", "llava", "mamba", "mixtral", "gemma3", "deepseek"):
    kind = t.AutoModel if name != "llava" else t.LlavaForConditionalGeneration
    torch.save(kind.from_pretrained(OUT / name), folder / f"{name}.pt")
torch.save(sentences, folder / "sentences.pt")
torch.save(stable.vae, folder / "vae.pt")
torch.save(flux, folder / "flux.pt")
torch.save(stable, folder / "stable-diffusion.pt")
torch.save(sentences.encode(["a"]), folder / "embedding.pt")
torch.save(trainer.state, folder / "trainer-state.pt")
for name, value in {
    "tokenizer": chat, "bert-tokenizer": bert, "image-processor": images, "feature-extractor": t.WhisperFeatureExtractor(),
    "config": small.config, "generation-config": small.generation_config, "arguments": arguments, "state": trainer.state,
    "processor": processor, "scheduler": diffusers.DDIMScheduler(), "batch": bert("a b", return_tensors="pt"),
    "output": small(torch.tensor([[1, 2]])), "lora-config": peft.LoraConfig(r=2), "model": small, "sentences": sentences,
    "pipeline": t.pipeline("text-classification", model=str(OUT / "bert"), device="cpu"),
    "collator": t.DataCollatorWithPadding(chat), "quantization": t.BitsAndBytesConfig(load_in_4bit=True),
}.items():  # fmt: skip
    try:
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(value))
    except Exception as error:  # noqa: BLE001 - what cannot be pickled is no file to scan
        print(f"not saved: {name}: {error!r}")
