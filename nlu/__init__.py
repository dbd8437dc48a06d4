"""Understanding: the Chinese BERT, its heads, training, export and runtime. Touches neither database nor web.

`runtime` and what it imports need only numpy, onnxruntime and tokenizers, because the dialogue engine loads it too.
"""
