"""Signs of acute danger in short messages: a net below the model, because a missed danger costs a life.

The model decides first; these signs only add what it missed. Each clause is judged by itself: a sign counts unless the
clause speaks of the past, of a worry, of its absence, or of a bill or a rule. Long letters tell stories and are left to
the model.
"""

from __future__ import annotations

import re
from enum import StrEnum

LONGEST = 80
"""Characters up to which a message is short."""

_SIGNS = re.compile(
    "|".join(
        (
            r"(?:管|阀).{0,4}挖断|往外[喷冒]",
            r"(?:煤气|燃气|天然气|液化气|瓦斯).{0,6}(?:味|泄[漏露]|漏|中毒|嗤)",
            r"(?:闻到|闻着|闻见|一股|好大|好浓|很浓|好重|满屋).{0,8}(?:煤气|燃气|天然气|液化气)",
            r"漏(?:煤|燃|天然)?气了?|臭鸡蛋味|一氧化碳中毒",
            r"(?<![不等真])着(?:大)?火|起火|失火|着了火|冒[黑浓白]烟|浓烟|黑烟|烧起来|火势|烧着了|爆炸了|救火|火苗",
            r"漏电|触电|电[着到住]人|被电[了着到]|(?:电线|电缆|高压线|线杆).{0,8}(?:掉|断|垂|落|倒|打火|冒火|冒烟|火花)",
            r"(?:困|关|卡|夹|憋).{0,6}(?:电梯|轿厢)|电梯.{0,10}(?:困|卡住|关着人|夹住|往下掉|坠)",
            r"(?:房|楼|墙|棚|屋顶|脚手架|塔吊).{0,6}(?:塌了|坍|要倒|要塌|倒下来|垮)|坍塌|被[埋压砸]|砸[到着住伤]",
            r"[拿持提掏举挥].{0,3}(?:刀|斧|枪|钢管|铁棍)|砍人|捅人|杀人|打死|往死里打|打得.{0,6}血|抢劫|绑架|拐走|救命(?![钱药水稻])",
            r"跳楼|自杀|轻生|割腕|不想活|活不下去|寻短见|想死|喝(?:了)?.{0,3}农药|吞.{0,3}安眠药",
            r"(?:中毒|误食|误服|上吐下泻|口吐白沫|昏迷|晕倒|没呼吸|喘不上气|大出血|叫不醒)",
            r"(?<!防)溺水|落水|掉.{0,5}(?:河|井|湖|坑|沟|窟窿)|车里.{0,4}(?:有人|困)",
        )
    )
)
_CALM = re.compile(
    "|".join(
        (
            r"没有?.{0,6}(?:煤气|燃气|天然气|液化气|漏|着火|起火|爆炸|触电|困|塌|中毒|味)|(?:不是|并非|并没|不存在)",
            r"(?:已经|都)?.{0,3}(?:扑灭|灭了|救出|修好|处理好|解决了|排除|出院)",
            r"上(?:个?月|周|星期|次|回|半年)|去年|前年|昨[天晚日]|前[天几些]|之前|以前|曾|当时|那[天年次]|[年月]前|后来",
            r"怕|担心|万一|如果|要是|假如|会不会|容易|隐患|可能会|预防|防止|避免|以防",
            r"演[练习]|培训|宣传|讲座|知识|检查|检测|报警器|灭火器|保险|险(?:能|怎|咋|赔)|赔|补偿|补助|认定|鉴定|工伤|责任|处罚|罚",
            r"费|价|开户|开通|缴|办理|申请|规定|条例|标准|合同|证|材料|流程|电视|电影|小说|新闻|游戏|歌",
            r"怎么(?:交|缴|报|开|办理|申请|防|预防|投诉|举报|收|算)|多少钱",
            r"(?:热|累|笑|困|烦|气|急|忙|吵|臭|饿|冻)死|困难|想死你|打死也|气得",
        )
    )
)
# A stove that does not light: n-grams see 着火 in it.
_NO_FLAME = re.compile(r"(?:[打点擦]|燃)不(?:着|了|起|燃)来?火?|不打火|点火(?:失败|不[了着])")
_CLAUSE = re.compile(r"[，,。！!？?；;\n]+")


def without_misleading(text: str) -> str:
    """The text as the n-grams of the danger head are to see it."""
    return _NO_FLAME.sub("不好用", text)


def acute(text: str) -> bool:
    """Whether a short message speaks of danger that is there now."""
    return signs(text) is Signs.ACUTE


class Signs(StrEnum):
    """What the words say; also the name of the threshold that the model's probability is held against."""

    NONE = "danger"
    ACUTE = "danger_with_signs"
    CALMED = "danger_when_calmed"
    """Signs, but only of what is past, absent, feared or a matter of rules."""


def signs(text: str) -> Signs:
    """Which signs a short message has; a long one has none."""
    found = [clause for clause in _CLAUSE.split(text) if _SIGNS.search(clause)] if len(text) <= LONGEST else []
    if not found:
        return Signs.NONE
    return Signs.CALMED if all(_CALM.search(clause) for clause in found) else Signs.ACUTE
