"""What people write to Brazilian shops on WhatsApp: invented shops, people and conversations.

Data only. Braces are filled in by the emulator: {shop}, {name} (the customer's first name),
{agent}, {item}, {price}, {district}, {order}. In a story, `c` is the customer, `a` an agent, `n` a
private note among agents.
"""

import msgspec


class Shop(msgspec.Struct, frozen=True):
    """A shop with its agents and what it sells (things and prices)."""

    name: str
    agents: tuple[str, ...]
    items: tuple[tuple[str, str], ...]


class Line(msgspec.Struct, frozen=True):
    """One message of a story."""

    by: str
    text: str


def _story(text: str) -> tuple[Line, ...]:
    lines = [line.strip().split(": ", 1) for line in text.strip().splitlines()]
    return tuple(Line(by, said) for by, said in lines)


SHOPS: tuple[Shop, ...] = (
    Shop(
        "Padaria Estrela do Bairro",
        ("Renata Figueiredo", "Caio Menezes"),
        (("bolo de cenoura com cobertura", "R$ 48,00"), ("cento de pão de queijo", "R$ 95,00")),
    ),
    Shop(
        "Pet Shop Quatro Patas",
        ("Juliana Prates", "Wesley Santos"),
        (("ração de 15 kg pra filhote", "R$ 189,90"), ("banho e tosa", "R$ 75,00")),
    ),
    Shop(
        "Casa & Cor Tintas",
        ("Osvaldo Lima", "Priscila Rocha"),
        (("lata de tinta acrílica 18 L", "R$ 329,00"), ("kit rolo + bandeja", "R$ 42,50")),
    ),
    Shop(
        "Ótica Boa Vista",
        ("Marcela Dantas",),
        (("lente antirreflexo", "R$ 260,00"), ("armação tartaruga", "R$ 219,90")),
    ),
    Shop(
        "Moda da Nana",
        ("Nana Ribeiro", "Tainá Costa", "Bruno Sales"),
        (("vestido midi verde tam. M", "R$ 139,90"), ("conjunto de linho", "R$ 199,00")),
    ),
    Shop(
        "Hamburgueria do Zeca",
        ("Zeca Moura", "Duda Almeida"),
        (("combo duplo + batata", "R$ 44,90"), ("smash triplo", "R$ 36,00")),
    ),
    Shop(
        "Clínica Sorriso Leve",
        ("Dra. Helena Paiva", "Recepção Carla"),
        (("limpeza", "R$ 180,00"), ("clareamento", "R$ 790,00")),
    ),
    Shop(
        "Autopeças Rota 381",
        ("Geraldo Pires", "Valdir Nunes"),
        (("jogo de pastilha de freio", "R$ 128,00"), ("bateria 60 Ah", "R$ 459,00")),
    ),
)

PEOPLE: tuple[str, ...] = (
    "Mariana Albuquerque",
    "João Pedro Farias",
    "Ana Clara Souza",
    "Seu Antônio Barbosa",
    "Thaís Gonçalves",
    "Rafael Nogueira",
    "Dona Lúcia Teixeira",
    "Kauã Ferreira",
    "Letícia D'Ávila",
    "Márcio Brandão",
    "Jéssica Araújo",
    "Cícero Vasconcelos",
    "Bia Magalhães",
    "Luiz Otávio Reis",
    "Conceição Neves",
    "Yasmin Moraes",
)
DISTRICTS: tuple[str, ...] = (
    "Vila Mariana",
    "Savassi",
    "Boa Viagem",
    "Tijuca",
    "Setor Bueno",
    "Água Verde",
    "Barra",
    "Aldeota",
)

STORIES: tuple[tuple[Line, ...], ...] = (
    _story("""
        c: oi bom dia, tudo bem?
        c: vcs tem {item}?
        a: Bom dia, {name}! Tudo ótimo 😊 Temos sim! Sai por {price}.
        c: show! entrega aqui em {district}?
        a: Entregamos, a taxa pra {district} é R$ 7,00. Posso fechar pra você?
        c: pode sim, pago no pix
        a: Perfeito! A chave é nosso CNPJ, no nome de {shop}. Me manda o comprovante aqui, tá?
        c: mandei agora 👍
        a: Recebido! Pedido {order} confirmado, sai pra entrega em 40 min 🛵
        c: obrigadaaa 🙏
        """),
    _story("""
        c: Boa tarde. Meu pedido {order} ainda não chegou, era pra ter vindo ontem
        a: Oi, {name}, boa tarde! Desculpa por isso, vou ver agora com o entregador.
        n: pessoal, alguém sabe do {order}? cliente já reclamou, prioridade
        c: por favor, preciso disso hj sem falta
        a: {name}, achei: o motoboy foi ontem 18h e não tinha ninguém. Reenvio hoje até 15h, ok?
        c: mas eu tava em casa o dia td 😡 ninguém tocou o interfone
        a: Você tem razão em ficar chateado. Já pedi pra ligarem no seu número antes de sair, ok?
        c: ok, vou aguardar então
        a: Entregue agora há pouco, confere pra mim?
        c: chegou sim, valeu pela atenção
        """),
    _story("""
        c: quanto ta {item}??
        a: Oi, {name}! Está {price} à vista no PIX ou em até 3x no cartão.
        c: faz por menos nao? 😅
        a: Consigo 5% no PIX, fechando hoje <3
        c: fechado! manda a chave
        a: Chave aleatória: 7f3c-90ab-pix & o valor já com desconto. Assim que cair eu separo.
        c: paguei
        """),
    _story("""
        c: oii, que horas vcs fecham hoje?
        a: Oi, {name}! Hoje até as 19h, e sábado das 9h às 14h.
        c: blz, passo aí dps do trabalho pra ver {item}
        a: Deixo separado no seu nome! 😉
        """),
    _story("""
        c: Boa noite, gostaria de agendar um horário pra essa semana
        a: Boa noite, {name}! Tenho quinta às 10h30 ou sexta às 16h. Qual fica melhor?
        c: sexta 16h
        c: é com {agent} msm?
        a: Isso! Agendado: sexta, 16h. Se precisar remarcar é só chamar por aqui.
        c: perfeito, até lá
        """),
    _story("""
        c: Olá! Comprei {item} semana passada e veio com defeito
        c: [foto]
        c: queria trocar, tenho a nota
        a: Oi, {name}! Poxa, sinto muito. Me passa o número do pedido?
        c: {order}
        n: {agent}: conferir garantia, comprou dia 12. Se for do lote antigo troca direto
        a: Achei aqui. Pode trazer na loja ou a gente busca em {district}, sem custo. Como prefere?
        c: se puder buscar eu agradeço, tô sem carro
        a: Combinado! Busca amanhã entre 9h e 12h e já levamos o novo.
        c: nossa, ótimo atendimento! obg
        """),
    _story("""
        c: vocês parcelam?
        a: Parcelamos sim, {name}! Até 6x sem juros acima de R$ 150,00.
        c: e aceita vale alimentação?
        a: Ainda não 😕 só PIX, débito, crédito e dinheiro.
        c: td bem, vou no crédito então. quero {item}, 2 unidades por favor
        a: Anotado! Seu pedido é o {order}. Link de pagamento: https://pagar.example/{order}?v=1&p=6
        c: feito ✅
        a: Caiu aqui! Muito obrigada pela preferência 💛
        """),
    _story("""
        c: o pix que eu fiz não caiu? debitou da minha conta
        a: Oi, {name}! Me envia o comprovante com o ID da transação, por favor?
        c: E0036030520{order}
        a: Obrigada! Localizei, tinha ficado em análise no banco. Já está tudo certo.
        c: ufa kkkk achei q tinha caído em golpe
        a: Imagina! Qualquer dúvida estamos aqui 🤝
        """),
)
