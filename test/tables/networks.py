"""The networks of the table: name, size of the image, and how each is made small. Weights are random."""

import timm
import torch
import torchvision.models as tv

CLASSES = 10


def vision(name, size=64, **settings):
    return f"torchvision {name}", size, lambda: getattr(tv, name)(weights=None, num_classes=CLASSES, **settings)


def image_model(name, size=64, **settings):
    return f"timm {name}", size, lambda: timm.create_model(name, pretrained=False, num_classes=CLASSES, **settings)


def transformer(name, size=64, **settings):
    """Of timm, where the size of the image is a part of the network."""
    return image_model(name, size, img_size=size, **settings)


NETWORKS = [
    vision("alexnet", 224),
    vision("vgg11_bn", 224),
    vision("googlenet", aux_logits=False, init_weights=False),
    vision("inception_v3", 80, aux_logits=False, init_weights=False),
    vision("resnet18"),
    vision("densenet121"),
    vision("squeezenet1_1"),
    vision("mobilenet_v2"),
    vision("mobilenet_v3_small"),
    vision("mnasnet0_5"),
    vision("shufflenet_v2_x0_5"),
    vision("efficientnet_b0"),
    vision("regnet_y_400mf"),
    (
        "torchvision ConvNeXt (small)",
        64,
        lambda: tv.ConvNeXt(
            [tv.convnext.CNBlockConfig(24, 48, 2), tv.convnext.CNBlockConfig(48, None, 2)],
            layer_scale=0.1,
            num_classes=CLASSES,
        ),
    ),
    (
        "torchvision VisionTransformer (small)",
        64,
        lambda: tv.VisionTransformer(64, 16, 3, 4, 64, 128, num_classes=CLASSES),
    ),
    (
        "torchvision SwinTransformer (small)",
        64,
        lambda: tv.SwinTransformer([4, 4], 24, [2, 2], [2, 4], [4, 4], num_classes=CLASSES),
    ),
    (
        "torchvision SwinTransformer V2 (small)",
        64,
        lambda: tv.SwinTransformer(
            [4, 4],
            24,
            [2, 2],
            [2, 4],
            [4, 4],
            num_classes=CLASSES,
            block=tv.swin_transformer.SwinTransformerBlockV2,
            downsample_layer=tv.swin_transformer.PatchMergingV2,
        ),
    ),
    (
        "torchvision MaxVit (small)",
        64,
        lambda: tv.MaxVit((64, 64), 16, 4, [16, 32], [1, 1], 8, 0.0, num_classes=CLASSES),
    ),
    transformer("vit_tiny_patch16_224", depth=3),
    transformer("eva02_tiny_patch14_224", 56, depth=3),
    transformer("beit_base_patch16_224", embed_dim=64, depth=3, num_heads=4),
    transformer("cait_xxs24_224", depth=3),
    transformer("xcit_nano_12_p16_224", depth=3),
    transformer("convit_tiny", depth=3, local_up_to_layer=2),
    transformer("mixer_s32_224"),
    transformer("gmlp_ti16_224"),
    transformer("swinv2_cr_tiny_224", embed_dim=24, depths=(1, 1, 2, 1), window_size=2),
    transformer("maxvit_rmlp_pico_rw_256", 64),
    transformer("coatnet_pico_rw_224", 64),
    image_model("twins_svt_small", 64, embed_dims=(16, 32, 64, 128), depths=(1, 1, 1, 1), num_heads=(1, 2, 4, 8)),
    image_model("pvt_v2_b0", 64),
    transformer("nest_tiny", 128, embed_dims=(24, 48, 96), num_heads=(1, 2, 4), depths=(1, 1, 2)),
    transformer("volo_d1_224", 64, layers=(1, 1, 1, 1), embed_dims=(48, 96, 96, 96), num_heads=(2, 4, 4, 4)),
    image_model("levit_128s", 224),
    image_model("sequencer2d_s", 64, layers=(1, 1, 1, 1), embed_dims=(48, 96, 96, 96), hidden_sizes=(12, 24, 24, 24)),
    image_model("lambda_resnet26t"),
    image_model("botnet26t_256", 64, layers=(1, 1, 1, 1)),
    image_model("halonet26t", 128),
    image_model("tf_efficientnet_lite0"),
    image_model("mixnet_s"),
    image_model("ghostnetv2_100"),
    image_model("mobileone_s0"),
    image_model("mobilenetv4_conv_small"),
    image_model("rexnet_100"),
    image_model("resnest14d"),
    image_model("skresnet18"),
    image_model("nf_regnet_b0"),
    image_model("eca_nfnet_l0"),
    image_model("resnetv2_50x1_bit"),
    image_model("dla46_c"),
    image_model("repvit_m0_9"),
    image_model("convnextv2_atto"),
    image_model("mambaout_femto"),
    image_model("poolformer_s12"),
    image_model("caformer_s18"),
    image_model("edgenext_xx_small"),
    image_model("mobilevit_xxs"),
    image_model("mobilevitv2_050"),
    image_model("efficientvit_b0"),
    image_model("fastvit_t8"),
    image_model("efficientformer_l1", 224),
    image_model("hgnetv2_b0"),
    image_model("starnet_s1"),
]


def build(make, fused):
    """The network with random weights and random moments, as nothing but arithmetic is compared. `fused`: with PyTorch's
    own attention, which the older exporter does not know."""
    torch.manual_seed(7)
    torch.backends.mha.set_fastpath_enabled(fused)
    timm.layers.set_fused_attn(fused)
    network = make().eval()
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.7, 1.3)
    return network
