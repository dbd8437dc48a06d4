"""Names of people by the words around them: 焦经理, 小邰, 老耿头, 我叫符雅, 司机岑建平, 匡敏 410103….

Rules beside the tagger, which knows names without a cue but often ends a letter too early. What belongs to a name is as
in `training_data/entities/`: the title behind a surname does, the role before a name does not.
"""

from __future__ import annotations

import re

_DOUBLE = (
    "欧阳|上官|司马|诸葛|东方|皇甫|尉迟|公孙|慕容|令狐|司徒|夏侯|闻人|相里|羊舌|端木|百里|轩辕|南宫|宇文|长孙|司空|独孤|呼延"
    "|太史|申屠|澹台|鲜于|万俟|赫连|钟离|淳于"
)
_SURE = (
    "赵孙李周吴郑王冯陈褚蒋沈韩杨朱秦尤许何吕施张孔曹严魏陶姜戚邹喻柏窦章苏潘葛奚范彭郎鲁韦昌凤任袁柳酆鲍史唐廉岑薛雷贺倪汤滕殷罗郝"
    "邬傅皮卞齐伍余元卜顾孟穆萧尹姚邵湛汪祁禹狄贝臧伏戴谈宋茅庞熊纪舒屈项祝董梁杜阮蓝闵贾娄危童颜梅盛林刁钟徐邱骆夏蔡樊胡凌霍虞柯"
    "昝莫裘缪宗丁贲邓郁杭洪诸左崔吉钮龚程嵇邢滑裴陆荣翁荀於惠甄曲芮羿储靳汲邴糜段富巫乌焦巴弓牧隗侯宓蓬郗仰秋仲伊宁仇栾暴甘厉戎"
    "祖武符刘詹龙叶郜黎蓟薄印怀蒲邰鄂索咸籍卓蔺屠蒙池乔胥苍闻莘翟谭姬申扶冉宰郦雍却璩桑桂濮寿扈燕冀郏浦温庄晏柴瞿阎慕茹宦艾鱼"
    "戈廖庾暨衡耿匡寇禄阙殴殳沃蔚越夔隆厍聂晁勾敖融冷訾阚简饶曾毋沙鞠巢蒯荆游竺逯益桓肖闫仝苟芦亢邸撖禚郄揣佘佟邝仉覃谯谌庹钭鄢"
    "雒尧岳丘尉桐冼牟侍伦肇虎欧岩敬官庚琚栗茆苌刑"
)
"""Surnames that are hardly ever the end of another word."""
_WORDS = (
    "班安于和时管车路房关方常从成通全应连平后公海国明东花水金高经都能终利相字文门生别原满充广向师家区丰田山谷井江城党农但华计康易石单代"
    "付空双红阳那强干乐须解幸操母战司黄牛白麦米步卫谢习包查种养过费练居封毕钱堵麻尚支权景宫丛马毛苗孔古席申宿祝占"
)
"""Surnames that are words, or end some: 班主任, 公安局长, 对于老师, 环卫大姐. They count where a word surely begins."""
_ANY = f"(?:{_DOUBLE}|[{_SURE}{_WORDS}])"
_BEGIN = "(?:(?<![一-龥A-Za-z0-9])|(?<=[的找叫是给跟和与让被问对请姓位名由把板员长理匠友客户居亲娘婆傅]))"

_TITLE = (
    "(?:先生|女士|小姐|太太|同志|师傅|师父|大[爷妈娘叔婶伯哥姐嫂]|阿姨|奶奶|爷爷|叔叔|婶子|嫂子|大夫|医生|护士长?|主任|主席|书记|支书"
    "|[科处局所厅部镇乡村区市县队组班站店厂园院校行会社]长|科员|总?经理|老板娘?|总监|老师|教授|教练|律师|[警法]官|干事|会计|设计师|工程师"
    "|委员|秘书|助理|顾问|博士|主管|寡妇|老太太?|老汉|老头|老爷子|记者|导游|房东|掌柜|师兄|老[二三四五六大]|[二三四]爷)"
)
_SHORT_TITLE = (
    "(?:总(?![是共会之算体部公理经结额数量得统站])|工(?![程作地人资厂会业期伤钱商具序种龄单艺友读])"
    "|[姐哥叔婶姨嫂伯科](?![学技室目普俩弟妹们儿路研协大]))"
)
_NOT_GIVEN = (
    "[的了是在说把给和跟不没有要这那就也都到来去上下里外吗呢吧啊呀个们该单号我你他她俺让被为与及或从对还很太又能可会]"
)
_GIVEN = f"(?:(?!{_NOT_GIVEN})[一-龥])"
_AFTER = (
    r"(?=$|[^一-龥]|电话|手机|联系|身份|今年|先生|女士|承诺"
    "|[说把的是在从给和跟欠扣打收找要被让向对也都就还不没去来住家这那有到抽开卖偷骗拿带]"
    "|[拍当又已突能上下昨前今明教抓捡救帮送写报办用走跑吃喝])"
)
_SELF = (
    "(?:[我俺名]?叫|姓名[是为]?[:： ]{0,2}|名字(?:叫|是)?[:： ]{0,2}|联系人[是为:： （(]{0,2}|本人|法人(?:代表)?"
    "|负责人|经办人[:：]?|审核[:：]|当事人[（( ]?|投诉人[:： ]?|反映人[:： ]?|户主|车主)"
)
_ROLE = (
    "(?:司机|老板|老公|丈夫|媳妇|爱人|[我俺他她](?:[爹娘妈爸舅叔哥姐弟]|妹妹?|同[学事]|儿子?|闺女|女儿|孙女|表弟|孩子)|[妈爹爸]叫|房东|租客|住户"
    "|业主|[店校园厂组班]长|教练|护工|护士|月嫂|经理|会计|支书|中介|驾驶员|家长)"
)
_OTHER_ROLE = (
    "(?:我是|俺是|监护人|老婆|妻子|对象|儿子|闺女|女儿|孙女|孙子|外孙女?|父亲|母亲|爸爸|妈妈|[爹娘妈爸舅叔姨]"
    "|妹妹|弟弟|哥哥|姐姐|老伴|表[弟哥妹姐]|侄子|外甥"
    "|邻居|同事|同学|工友|楼上|[院队所局]长|书记|主任|销售|客服|保安|保洁员?|医生|老师|快递员|收银员|工作人员|志愿者|会员|患者|学生|孩子|老人|老汉"
    "|老干部|村民|居民|[甲乙]方[:： ]?|承办人|那口子|请问|多亏|人事|联系[:： ]?|找)"
)
_TITLED = re.compile(
    rf"(?:{_DOUBLE}|[{_SURE}]|{_BEGIN}[{_WORDS}]){_TITLE}|{_BEGIN}{_ANY}(?<!施){_SHORT_TITLE}"
    # 老耿头, 小邰
    r"|(?:(?<![一-龥])|(?<=[的找叫是给跟和与让被问对请员个你们位楼院村店长师户居机家手服人士上天主]))"
    rf"(?:老[{_SURE}黄牛白麦步](?!板|师|州|八蛋|病|历|汉)(?:头(?!上))?|小[{_SURE}](?![序子扎]))"
    r"(?![一-龥]?(?:区|店|吃|学|路|街|村|镇|厂))"
)
_FULL = f"(?:(?:{_DOUBLE}|[{_SURE}]){_GIVEN}{{1,2}})"
_FULL_OF_WORD = f"(?:[{_WORDS}](?![机位间末长访电手庭属人]){_GIVEN}{{1,2}})"
_CUED = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?:^|(?<=[，。,；;、：:\s（(]))({_ANY}[一-龥]{{1,2}})(?=[，,：:\s]{{0,2}}(?:电话|手机|身份证|1[3-9]\d|\d{{6}}|[男女][，,]))",
        rf"(?:{_SELF}|{_ROLE}|{_OTHER_ROLE})({_FULL}){_AFTER}",
        rf"{_SELF}({_FULL_OF_WORD}){_AFTER}",
        rf"{_ROLE}([{_SURE}解米白]{_GIVEN}{{2}})",
        rf"(?:{_ROLE}|{_OTHER_ROLE})({_FULL_OF_WORD})(?=[，。,；;:：\s（()）]|$)",
        rf"(?:^|(?<=[，。,；;、\s（(]))((?:{_DOUBLE})[一-龥]{{1,2}}|[{_SURE}解白]{_GIVEN}{{2}})(?=[，。,；;、\s）)]|$)",
        rf"(?:我姓|免贵姓)({_ANY})(?=[，, ]?(?:电话|手机|1[3-9]\d))",
    )
)
# Only a surname, or what one is to be called: what a resident says who wants to be spoken to, and no more than that.
_BEHIND = "(?=$|[，,。.；;！!、~ ]|的|就[行好中可]|即可|[吧就]|好了|行了)"
_OFFERED = (
    re.compile(rf"(?:[我俺]|免贵|^)姓({_ANY})(?:的?{_BEHIND})"),
    re.compile(
        rf"(?:[叫喊]|称呼)[我俺](?:一声)?([老小]{_ANY}|{_ANY}{_SHORT_TITLE}|[{_SURE}]{_GIVEN}{{1,2}}?(?=就[行好中可]|即可|吧)){_BEHIND}"
    ),
)
_NO_NAME = re.compile(
    "老[赖母]|单[号位元]|车主|应该|平台|毕业|公司|都知道|都联系|小区|谢|麻烦|严重|许多|何[时况必]|金额|项目|安排|施工|万[一达]|祝[您你]"
    "|任何|王八|周末|班主任|包工|常年|高考|孙[女子]|辛苦|向|白.病|白眼|能用|查我|司机|家长|弓长张|左撇子"
    "|.*(?:路|街|镇|村|区|市|县|院|站|店|厂|号|局|所)$"
)
# 任何老师, 前任主任
_WORD_BEFORE = re.compile("[任为如]何|[主前现离责上]任")
_THIRD = re.compile(f"{_GIVEN}{_AFTER}")
_UNFINISHED = re.compile(rf"{_ANY}[一-龥]?")
_REST = re.compile(f"{_TITLE}|{_SHORT_TITLE}")


def find(text: str) -> list[tuple[int, int]]:
    """(start, end) of every name that the words around it tell, in order, without overlaps."""
    found = [
        match.span()
        for match in _TITLED.finditer(text)
        if not _NO_NAME.match(match.group()) and not _WORD_BEFORE.match(text, max(match.start() - 1, 0))
    ]
    for pattern in _CUED:
        for match in pattern.finditer(text):
            start, end = match.span(1)
            if not _NO_NAME.match(match.group(1)) and not any(start < b and a < end for a, b in found):
                found.append((start, end))
    if not found:  # 我姓靳，靳大海: the whole name is told
        found = [match.span(1) for pattern in _OFFERED for match in pattern.finditer(text)]
    return sorted(found)


def complete(text: str, start: int, end: int) -> int:
    """The end of a name of which `text[start:end]` may lack the title or the last letter."""
    if title := _REST.match(text, end):
        return title.end()
    if _UNFINISHED.fullmatch(text, start, end) and (letter := _THIRD.match(text, end)):
        return letter.end()
    return end
